package owner

import (
	"context"
	"slices"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// reserve decides on all pending requests, a batch an append.
func (o *Owner) reserve(ctx context.Context) error {
	for len(o.pending) > 0 {
		b := o.decide()
		if b.reservations == 0 {
			o.answer(b, b.refused == 0 || o.nearlyUpToDate(ctx))
			continue
		}
		sequence, err := o.write(ctx, plog.Entry{Data: partition.Reserved(b.record)})
		if err == nil {
			o.state.Landed(sequence)
			o.metrics.batchSize.Observe(float64(b.reservations))
			o.answer(b, true)
			continue
		}
		o.state.Drop(b.reservations)
		// Decided again from the state that the log gives: those that landed after all are found in
		// it.
		o.pending = append(slices.Clone(b.requests), o.pending...)
		// What was sent may still be on its way.
		b.record = nil
		if err := o.recover(ctx, err); err != nil {
			return err
		}
	}
	o.pending = nil
	return nil
}

// answer gives a batch's answers. Refusals from a memory that may be behind the log are not given.
func (o *Owner) answer(b *batch, upToDate bool) {
	accepted := 0
	for i, r := range b.requests {
		a := &b.answers[i]
		switch {
		case a.err == nil:
			accepted++
			r.answer(a.response, nil)
		case upToDate:
			o.refuse(r, a.err)
		default:
			o.refuse(r, o.moving())
		}
	}
	o.metrics.accepted.Add(float64(accepted))
}

func (o *Owner) refuse(r request, err error) {
	o.metrics.refuse(err, 1)
	r.answer(nil, err)
}

// decide on pending requests until the batch is full. The state has their reservations from then
// on.
func (o *Owner) decide() *batch {
	b := &o.batch
	b.begin()
	clusterTime, known := o.clusterTime()
	if !known {
		for _, r := range o.pending {
			o.refuse(r, o.moving())
		}
		o.pending = nil
		return b
	}
	d := decision{promo: o.promotion(), now: o.clock(), clusterTime: clusterTime}
	decided := 0
	for _, r := range o.pending {
		if b.full() {
			break
		}
		decided++
		if r.call.ctx.Err() != nil {
			o.refuse(r, o.moving())
			continue
		}
		o.decideOn(b, r, &d)
	}
	clear(o.pending[:decided])
	o.pending = o.pending[decided:]
	return b
}

// decision is what is the same for all that are decided on together.
type decision struct {
	promo            *promotion.Promotion
	now, clusterTime time.Time
}

func (o *Owner) decideOn(b *batch, r request, d *decision) {
	if err := setRequest(&b.deciding, d.promo, r.message); err != nil {
		b.refuse(r, err)
		return
	}
	decided := o.state.Decide(b.deciding)
	switch decided.Verdict {
	case partition.Existing:
		b.accept(r, responseOf(decided.Order))
		return
	case partition.Reused:
		b.refuse(r, refusal.RequestIDReused())
		return
	}
	// The window and the levers are for what is new: it may have waited here until after the end.
	if err := d.promo.Admit(d.clusterTime, r.message); err != nil {
		b.refuse(r, err)
		return
	}
	switch decided.Verdict {
	case partition.Ended:
		b.refuse(r, d.promo.Ended())
	case partition.Full:
		b.refuse(r, refusal.PartitionFull(o.jitter(fullDelay)))
	case partition.OverLimit:
		b.refuse(r, refusal.LimitPerBuyer(decided.SKU))
	case partition.NeedsStock:
		if err := o.knownSoldOut(d.promo, r, decided.Missing, d.now); err != nil {
			b.refuse(r, err)
			return
		}
		if len(o.parked) == parkedMax {
			b.refuse(r, refusal.Overloaded(o.jitter(retryDelay)))
			return
		}
		o.parked = append(o.parked, r)
	case partition.Accept:
		o.accept(b, r, d)
	}
}

// accept takes the request's stock in the state and adds the reservation to the batch.
func (o *Owner) accept(b *batch, r request, d *decision) {
	id, err := o.orderIDs.New(r.message.GetBuyerId())
	if err != nil {
		b.refuse(r, rpcerr.Internal(err))
		return
	}
	accepted := d.clusterTime.UnixMilli()
	terms := partition.Terms{
		ID: id, AcceptedMs: accepted, ExpiresMs: accepted + d.promo.GetPaymentTimeoutMs(), Currency: d.promo.GetCurrency(),
	}
	if err := o.state.Take(b.deciding, terms); err != nil {
		b.refuse(r, rpcerr.Internal(err))
		return
	}
	b.addReservation(r, &terms, min(len(o.pending), responsesAtOnce))
}

func responseOf(order partition.Order) *flashv1.PlaceFlashOrderResponse {
	return &flashv1.PlaceFlashOrderResponse{
		OrderId: order.ID.String(), State: stateOf(order), AcceptedAt: acceptedAt(order),
	}
}

// append writes one record after the state's last.
func (o *Owner) append(ctx context.Context, record *flashv1.Record) (uint64, error) {
	return o.write(ctx, plog.Entry{Record: record})
}

func (o *Owner) write(ctx context.Context, entry plog.Entry) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	entry.Partition, entry.Expected = o.partition, o.state.Sequence()
	asked := o.clock()
	sequence, err := o.log.Append(ctx, entry)
	o.metrics.appendSeconds.Observe(o.clock().Sub(asked).Seconds())
	if err == nil {
		o.upToDateAt = asked
	}
	return sequence, err
}
