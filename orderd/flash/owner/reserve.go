package owner

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/sale"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// batch is the decisions that one append makes durable. Refusals are in it as well: they may rest on
// reservations that are not durable yet.
type batch struct {
	placements   []placement
	replies      []placed
	reservations []*flashv1.Reservation
	bytes        int
}

// placed is the answer to a placement.
type placed struct {
	response *flashv1.PlaceFlashOrderResponse
	err      error
}

func (b *batch) accept(p placement, response *flashv1.PlaceFlashOrderResponse) {
	b.placements, b.replies = append(b.placements, p), append(b.replies, placed{response: response})
}

func (b *batch) refuse(p placement, err error) {
	b.placements, b.replies = append(b.placements, p), append(b.replies, placed{err: err})
}

func (b *batch) refuses() bool {
	return slices.ContainsFunc(b.replies, func(r placed) bool { return r.err != nil })
}

func (b *batch) full() bool {
	return len(b.reservations) >= recordOrders || b.bytes >= recordBytes
}

// reserve decides on all pending reservations, a batch an append.
func (o *Owner) reserve(ctx context.Context) error {
	for len(o.pending) > 0 {
		b := o.decide()
		if len(b.reservations) == 0 {
			o.answer(b, !b.refuses() || o.nearlyCurrent(ctx))
			continue
		}
		record := &flashv1.Record{Kind: &flashv1.Record_Reserved{Reserved: &flashv1.Reserved{Reservations: b.reservations}}}
		sequence, err := o.append(ctx, record)
		if err == nil {
			o.state.Landed(sequence)
			o.Metrics.batchSize.Observe(float64(len(b.reservations)))
			o.answer(b, true)
			continue
		}
		for i := len(b.reservations) - 1; i >= 0; i-- {
			o.state.Drop(b.reservations[i])
		}
		// Decided again from the state that the log tells: those that landed after all are found in it.
		o.pending = append(b.placements, o.pending...)
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
		r := b.replies[i]
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
	b := &batch{}
	current, now := o.Sale(), o.Clock()
	clusterTime, known := o.now()
	if !known {
		for _, p := range o.pending {
			o.refusePlacement(p, o.moving())
		}
		o.pending = nil
		return b
	}
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
		o.decideOn(b, p, current, now, clusterTime)
	}
	o.pending = o.pending[taken:]
	return b
}

func (o *Owner) decideOn(b *batch, p placement, current *sale.Sale, now, clusterTime time.Time) {
	request, err := wanted(current, p.request)
	if err != nil {
		b.refuse(p, err)
		return
	}
	decision := o.state.Reserve(request)
	switch decision.Verdict {
	case partition.Existing:
		b.accept(p, placedOrder(decision.Order))
		return
	case partition.Reused:
		b.refuse(p, sale.RequestIDReused())
		return
	}
	// The window and the levers are for what is new: it may have waited here until after the end.
	if refusal := current.Admit(clusterTime, p.request); refusal != nil {
		b.refuse(p, refusal)
		return
	}
	switch decision.Verdict {
	case partition.Ended:
		b.refuse(p, sale.Ended())
	case partition.OverLimit:
		b.refuse(p, sale.LimitPerBuyer(decision.SKU))
	case partition.NeedsStock:
		if err := o.knownSoldOut(p, decision.Missing, now); err != nil {
			b.refuse(p, err)
			return
		}
		if len(o.parked) == parkedMax {
			b.refuse(p, sale.Overloaded(o.Jitter(retryDelay)))
			return
		}
		o.parked = append(o.parked, p)
	case partition.Accept:
		o.hold(b, p, current, clusterTime)
	}
}

// hold reserves in the state and in the batch.
func (o *Owner) hold(b *batch, p placement, current *sale.Sale, now time.Time) {
	id, err := o.OrderIDs.New(p.request.GetBuyerId())
	if err != nil {
		b.refuse(p, rpcerr.Internal(err))
		return
	}
	r := &flashv1.Reservation{
		OrderId: id[:], BuyerId: p.request.GetBuyerId(), RequestId: p.request.GetRequestId(), Currency: current.GetCurrency(),
		AcceptedAtUnixMs: now.UnixMilli(), ExpiresAtUnixMs: now.UnixMilli() + current.GetPaymentTimeoutMs(),
		Items: make([]*flashv1.ReservedItem, len(p.request.GetItems())),
	}
	for i, item := range p.request.GetItems() {
		r.Items[i] = &flashv1.ReservedItem{Sku: item.GetSku(), Quantity: item.GetQuantity(), UnitPrice: current.Item(item.GetSku()).GetUnitPrice()}
	}
	if err := o.state.Hold(r); err != nil {
		b.refuse(p, rpcerr.Internal(err))
		return
	}
	b.reservations = append(b.reservations, r)
	b.bytes += proto.Size(r)
	b.accept(p, &flashv1.PlaceFlashOrderResponse{
		OrderId: id.String(), State: flashv1.FlashOrderState_FLASH_ORDER_STATE_ACCEPTED,
		AcceptedAt: timestamppb.New(time.UnixMilli(r.AcceptedAtUnixMs)),
	})
}

// append writes one record after the state's last.
func (o *Owner) append(ctx context.Context, record *flashv1.Record) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	started, asked := time.Now(), o.Clock()
	sequence, err := o.Log.Append(ctx, plog.Entry{Partition: o.Partition, Expected: o.state.Sequence(), Record: record})
	o.Metrics.appendSeconds.Observe(time.Since(started).Seconds())
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
		began := o.Clock()
		for _, c := range o.releases {
			o.answerRelease(ctx, c, began)
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

func (o *Owner) answerRelease(ctx context.Context, c *call, began time.Time) {
	switch o.state.Release(c.order) {
	case partition.AlreadyReleased:
		c.answer(reply{released: flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED})
	case partition.ClosedUnreleased:
		c.answer(reply{released: flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED})
	case partition.UnknownOrder:
		if o.current(ctx, began) {
			c.refuse(sale.OrderNotFound())
			return
		}
		c.refuse(o.moving())
	case partition.MayRelease:
		c.refuse(o.moving())
	}
}

// wanted is what the state decides on, with the limits of now.
func wanted(current *sale.Sale, place *flashv1.PlaceFlashOrderRequest) (partition.Request, error) {
	request := partition.Request{BuyerID: place.GetBuyerId(), RequestID: place.GetRequestId(), Items: make([]partition.RequestItem, len(place.GetItems()))}
	for i, item := range place.GetItems() {
		promoted := current.Item(item.GetSku())
		if promoted == nil {
			return request, sale.ItemNotFound(item.GetSku())
		}
		request.Items[i] = partition.RequestItem{SKU: item.GetSku(), Quantity: item.GetQuantity(), LimitPerBuyer: promoted.GetLimitPerBuyer()}
	}
	return request, nil
}

func placedOrder(order partition.Order) *flashv1.PlaceFlashOrderResponse {
	return &flashv1.PlaceFlashOrderResponse{OrderId: order.ID.String(), State: stateOf(order), AcceptedAt: acceptedAt(order)}
}
