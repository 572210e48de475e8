package owner

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// answerQuestions answers those that were gathered.
func (o *Owner) answerQuestions(ctx context.Context) {
	for _, c := range o.questions {
		c.answerFrom(ctx, o)
	}
	clear(o.questions)
	o.questions = o.questions[:0]
}

func (c *lookupCall) answerFrom(ctx context.Context, o *Owner) {
	order, ok := o.state.Lookup(c.request.GetBuyerId(), c.request.GetRequestId())
	if !ok {
		c.refuse(o.orderNotFound(ctx, c.came))
		return
	}
	c.answer(&flashv1.GetFlashOrderResponse{
		OrderId: order.ID.String(), State: stateOf(order), AcceptedAt: acceptedAt(order),
	})
}

func (c *findCall) answerFrom(ctx context.Context, o *Owner) {
	order, ok := o.state.Order(c.order)
	if !ok || order.BuyerID != c.buyer {
		c.refuse(o.orderNotFound(ctx, c.came))
		return
	}
	c.answer(foundOrder{reservation: reservationOf(order), state: stateOf(order)})
}

func (c *levelsCall) answerFrom(_ context.Context, o *Owner) {
	levels, err := o.readLevels()
	if err != nil {
		c.refuse(err)
		return
	}
	c.answer(levels)
}

// orderNotFound is the answer to a call that came at a time, for an order that the state does not
// have.
func (o *Owner) orderNotFound(ctx context.Context, came time.Time) error {
	if !o.upToDateSince(ctx, came) {
		return o.moving()
	}
	return refusal.OrderNotFound()
}

func reservationOf(order partition.Order) *flashv1.Reservation {
	r := &flashv1.Reservation{
		OrderId: order.ID[:], BuyerId: order.BuyerID, RequestId: order.RequestID, Currency: order.Currency,
		AcceptedAtUnixMs: order.AcceptedMs, ExpiresAtUnixMs: order.ExpiresMs,
		Items: make([]*flashv1.ReservedItem, len(order.Items)),
	}
	for i, item := range order.Items {
		r.Items[i] = &flashv1.ReservedItem{Sku: item.SKU, Quantity: item.Quantity, UnitPrice: item.UnitPrice}
	}
	return r
}

func acceptedAt(order partition.Order) *timestamppb.Timestamp {
	return timestamppb.New(time.UnixMilli(order.AcceptedMs))
}

func stateOf(order partition.Order) flashv1.FlashOrderState {
	if order.Released {
		return flashv1.FlashOrderState_FLASH_ORDER_STATE_RELEASED
	}
	return flashv1.FlashOrderState_FLASH_ORDER_STATE_ACCEPTED
}
