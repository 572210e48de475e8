package owner

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// tell answers the questions for what the state has.
func (o *Owner) tell(ctx context.Context) {
	for _, c := range o.questions {
		switch {
		case c.levels:
			levels, err := o.readLevels()
			c.answer(reply{levels: levels, err: err})
		case c.get != nil:
			order, ok := o.state.Lookup(c.get.GetBuyerId(), c.get.GetRequestId())
			o.tellOrder(ctx, c, order, ok)
		default:
			order, ok := o.state.Order(c.find.order)
			o.tellOrder(ctx, c, order, ok && order.BuyerID == c.find.buyer)
		}
	}
	clear(o.questions)
	o.questions = o.questions[:0]
}

func (o *Owner) tellOrder(ctx context.Context, c *call, order partition.Order, ok bool) {
	switch {
	case ok && c.get != nil:
		c.answer(reply{got: &flashv1.GetFlashOrderResponse{OrderId: order.ID.String(), State: stateOf(order), AcceptedAt: acceptedAt(order)}})
	case ok:
		c.answer(reply{found: reservationOf(order), state: stateOf(order)})
	case !o.current(ctx, c.came):
		c.refuse(o.moving())
	default:
		c.refuse(refusal.OrderNotFound())
	}
}

func reservationOf(order partition.Order) *flashv1.Reservation {
	r := &flashv1.Reservation{
		OrderId: order.ID[:], BuyerId: order.BuyerID, RequestId: order.RequestID, Currency: order.Currency,
		AcceptedAtUnixMs: order.AcceptedMs, ExpiresAtUnixMs: order.ExpiresMs, Items: make([]*flashv1.ReservedItem, len(order.Items)),
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
