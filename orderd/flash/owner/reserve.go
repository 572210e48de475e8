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
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// reserve decides on all pending reservations, a batch an append.
func (o *Owner) reserve(ctx context.Context) error {
	for len(o.pending) > 0 {
		b := o.decide()
		if b.reservations == 0 {
			o.answer(b, b.refused == 0 || o.nearlyCurrent(ctx))
			continue
		}
		sequence, err := o.write(ctx, plog.Entry{Data: partition.Reserved(b.record)})
		if err == nil {
			o.state.Landed(sequence)
			o.Metrics.batchSize.Observe(float64(b.reservations))
			o.answer(b, true)
			continue
		}
		o.state.Drop(b.reservations)
		// Decided again from the state that the log tells: those that landed after all are found in it.
		o.pending = append(slices.Clone(b.placements), o.pending...)
		// What was sent may still be on its way.
		b.record = nil
		if err := o.recover(ctx, err); err != nil {
			return err
		}
	}
	o.pending = nil
	return nil
}

// answer sends a batch's replies. Refusals from a memory that may be behind the log are not given.
func (o *Owner) answer(b *batch, proved bool) {
	accepted := 0
	for i, p := range b.placements {
		r := &b.replies[i]
		switch {
		case r.err == nil:
			accepted++
			p.answer(r.response, nil)
		case proved:
			o.refusePlacement(p, r.err)
		default:
			o.refusePlacement(p, o.moving())
		}
	}
	o.Metrics.accepted.Add(float64(accepted))
}

func (o *Owner) refusePlacement(p placement, err error) {
	o.Metrics.refuse(err, 1)
	p.answer(nil, err)
}

// decide takes pending reservations into a batch until it is full, and holds them in the state.
func (o *Owner) decide() *batch {
	b := &o.batch
	b.begin()
	clusterTime, known := o.now()
	if !known {
		for _, p := range o.pending {
			o.refusePlacement(p, o.moving())
		}
		o.pending = nil
		return b
	}
	d := decision{current: o.Sale(), now: o.Clock(), clusterTime: clusterTime}
	taken := 0
	for _, p := range o.pending {
		if b.full() {
			break
		}
		taken++
		if p.call.ctx.Err() != nil {
			o.refusePlacement(p, o.moving())
			continue
		}
		o.decideOn(b, p, &d)
	}
	clear(o.pending[:taken])
	o.pending = o.pending[taken:]
	return b
}

// decision is what is the same for all that are decided on together.
type decision struct {
	current          *promotion.Promotion
	now, clusterTime time.Time
}

func (o *Owner) decideOn(b *batch, p placement, d *decision) {
	if err := b.want(d.current, p.request); err != nil {
		b.refuse(p, err)
		return
	}
	decided := o.state.Reserve(b.request)
	switch decided.Verdict {
	case partition.Existing:
		b.accept(p, placedOrder(decided.Order))
		return
	case partition.Reused:
		b.refuse(p, refusal.RequestIDReused())
		return
	}
	// The window and the levers are for what is new: it may have waited here until after the end.
	if err := d.current.Admit(d.clusterTime, p.request); err != nil {
		b.refuse(p, err)
		return
	}
	switch decided.Verdict {
	case partition.Ended:
		b.refuse(p, d.current.Ended())
	case partition.Full:
		b.refuse(p, refusal.PartitionFull(o.Jitter(fullDelay)))
	case partition.OverLimit:
		b.refuse(p, refusal.LimitPerBuyer(decided.SKU))
	case partition.NeedsStock:
		if err := o.knownSoldOut(d.current, p, decided.Missing, d.now); err != nil {
			b.refuse(p, err)
			return
		}
		if len(o.parked) == parkedMax {
			b.refuse(p, refusal.Overloaded(o.Jitter(retryDelay)))
			return
		}
		o.parked = append(o.parked, p)
	case partition.Accept:
		o.hold(b, p, d)
	}
}

// hold reserves in the state and in the batch.
func (o *Owner) hold(b *batch, p placement, d *decision) {
	id, err := o.OrderIDs.New(p.request.GetBuyerId())
	if err != nil {
		b.refuse(p, rpcerr.Internal(err))
		return
	}
	accepted := d.clusterTime.UnixMilli()
	terms := partition.Terms{ID: id, AcceptedMs: accepted, ExpiresMs: accepted + d.current.GetPaymentTimeoutMs(), Currency: d.current.GetCurrency()}
	if err := o.state.Take(b.request, terms); err != nil {
		b.refuse(p, rpcerr.Internal(err))
		return
	}
	b.hold(p, &terms, min(len(o.pending), responsesAtOnce))
}

// append writes one record after the state's last.
func (o *Owner) append(ctx context.Context, record *flashv1.Record) (uint64, error) {
	return o.write(ctx, plog.Entry{Record: record})
}

func (o *Owner) write(ctx context.Context, entry plog.Entry) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	entry.Partition, entry.Expected = o.Partition, o.state.Sequence()
	asked := o.Clock()
	sequence, err := o.Log.Append(ctx, entry)
	o.Metrics.appendSeconds.Observe(o.Clock().Sub(asked).Seconds())
	if err == nil {
		o.proved = asked
	}
	return sequence, err
}

// release appends the releases that were asked for, in one record.
func (o *Owner) release(ctx context.Context) error {
	for len(o.releases) > 0 {
		if released := o.toRelease(); len(released.GetOrders()) > 0 {
			record := &flashv1.Record{Kind: &flashv1.Record_Released{Released: released}}
			sequence, err := o.append(ctx, record)
			if err == nil {
				err = o.state.Fold(sequence, record)
				o.redecide = true
			}
			if err != nil {
				if err := o.recover(ctx, err); err != nil {
					return err
				}
			}
			// Decided again: now the state says that they are released.
			continue
		}
		for _, c := range o.releases {
			o.answerRelease(ctx, c)
		}
		o.releases = nil
	}
	return nil
}

// toRelease has the orders that are not released yet, each once.
func (o *Owner) toRelease() *flashv1.Released {
	released := &flashv1.Released{}
	seen := make(map[[16]byte]struct{}, len(o.releases))
	for _, c := range o.releases {
		if _, twice := seen[c.order]; twice || o.state.Release(c.order) != partition.MayRelease {
			continue
		}
		if len(released.GetOrders()) == recordOrders {
			break
		}
		seen[c.order] = struct{}{}
		released.Orders = append(released.Orders, &flashv1.ReleasedOrder{OrderId: c.order[:], Reason: c.reason})
	}
	return released
}

func (o *Owner) answerRelease(ctx context.Context, c *call) {
	switch o.state.Release(c.order) {
	case partition.AlreadyReleased:
		c.answer(reply{released: flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED})
	case partition.ClosedUnreleased:
		c.answer(reply{released: flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED})
	case partition.UnknownOrder:
		if o.current(ctx, c.came) {
			c.refuse(refusal.OrderNotFound())
			return
		}
		c.refuse(o.moving())
	case partition.MayRelease:
		c.refuse(o.moving())
	}
}

func placedOrder(order partition.Order) *flashv1.PlaceFlashOrderResponse {
	return &flashv1.PlaceFlashOrderResponse{OrderId: order.ID.String(), State: stateOf(order), AcceptedAt: acceptedAt(order)}
}
