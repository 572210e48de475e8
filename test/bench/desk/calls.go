package main

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
)

// call is one that staff make; some is an order that is there.
type call struct {
	name string
	do   func(ctx context.Context, s *desk.Service, some made) error
}

// list measures a list by a filter.
func list(name string, filter func(made) *deskv1.OrderFilter) call {
	return call{"list_" + name, func(ctx context.Context, s *desk.Service, some made) error {
		_, err := s.ListOrders(ctx, &deskv1.ListOrdersRequest{Filter: filter(some), PageSize: 50})
		return err
	}}
}

func states(of ...orderv1.OrderState) *deskv1.OrderFilter { return &deskv1.OrderFilter{States: of} }

// tabs are the counts of a list's tabs.
func tabs() []*deskv1.OrderFilter {
	toShip := states(orderv1.OrderState_ORDER_STATE_PAID)
	toShip.FulfilmentStatuses = []orderv1.FulfilmentStatus{orderv1.FulfilmentStatus_FULFILMENT_STATUS_UNFULFILLED}
	return []*deskv1.OrderFilter{
		{}, states(orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT), toShip, states(orderv1.OrderState_ORDER_STATE_SHIPPED),
		{RefundStatuses: []orderv1.RefundStatus{orderv1.RefundStatus_REFUND_STATUS_REFUNDED}},
	}
}

var calls = []call{
	{"get", func(ctx context.Context, s *desk.Service, some made) error {
		_, err := s.FindOrder(ctx, &deskv1.FindOrderRequest{Key: &deskv1.FindOrderRequest_OrderId{OrderId: some.id.String()}})
		return err
	}},
	{"get_by_number", func(ctx context.Context, s *desk.Service, some made) error {
		key := &deskv1.FindOrderRequest_Number{Number: orderid.Number(some.id)}
		_, err := s.FindOrder(ctx, &deskv1.FindOrderRequest{Key: key})
		return err
	}},
	list("newest", func(made) *deskv1.OrderFilter { return nil }),
	list("buyer", func(m made) *deskv1.OrderFilter { return &deskv1.OrderFilter{BuyerId: m.buyer} }),
	list("phone", func(m made) *deskv1.OrderFilter { return &deskv1.OrderFilter{Phone: m.phone} }),
	list("recipient", func(m made) *deskv1.OrderFilter { return &deskv1.OrderFilter{Recipient: m.recipient} }),
	list("sku", func(m made) *deskv1.OrderFilter { return &deskv1.OrderFilter{Sku: m.sku} }),
	list("tag", func(made) *deskv1.OrderFilter { return &deskv1.OrderFilter{Tags: []string{"vip"}} }),
	list("transaction", func(m made) *deskv1.OrderFilter { return &deskv1.OrderFilter{TransactionId: m.transaction} }),
	list("tracking", func(m made) *deskv1.OrderFilter { return &deskv1.OrderFilter{TrackingNumber: m.tracking} }),
	list("promotion", func(m made) *deskv1.OrderFilter { return &deskv1.OrderFilter{Promotion: m.promotion} }),
	list("provider", func(made) *deskv1.OrderFilter { return &deskv1.OrderFilter{Provider: "stripe"} }),
	list("channel", func(m made) *deskv1.OrderFilter { return &deskv1.OrderFilter{Channel: m.channel} }),
	list("to_ship", func(made) *deskv1.OrderFilter { return tabs()[2] }),
	list("unpaid", func(made) *deskv1.OrderFilter { return &deskv1.OrderFilter{UnpaidSeconds: 600} }),
	list("refunded", func(made) *deskv1.OrderFilter { return tabs()[4] }),
	list("day", func(m made) *deskv1.OrderFilter {
		day := m.at.Truncate(24 * time.Hour)
		return &deskv1.OrderFilter{Placed: &deskv1.TimeRange{
			Since: timestamppb.New(day), Until: timestamppb.New(day.Add(24 * time.Hour)),
		}}
	}),
	list("pair_state_tag", func(made) *deskv1.OrderFilter {
		f := states(orderv1.OrderState_ORDER_STATE_COMPLETED)
		f.Tags = []string{"gift"}
		return f
	}),
	// Nothing matches: all that one call may look at is looked at.
	list("pair_of_nothing", func(made) *deskv1.OrderFilter {
		f := states(orderv1.OrderState_ORDER_STATE_COMPLETED)
		f.Method = "none"
		return f
	}),
	{"count_tabs", func(ctx context.Context, s *desk.Service, _ made) error {
		_, err := s.CountOrders(ctx, &deskv1.CountOrdersRequest{Filters: tabs()})
		return err
	}},
}

// someOrder is one of the first upTo.
func someOrder(r *rand.Rand, upTo, most int64) made { return order(r.Int64N(upTo), most) }
