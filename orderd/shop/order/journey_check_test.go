package order_test

import (
	"context"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

func (s *shop) check(t *rapid.T, m *model, skus []string) {
	ctx := context.Background()
	s.countsWhatIsUnpaid(t)
	for _, o := range m.orders {
		s.checkOrder(t, o)
	}
	for _, sku := range skus {
		got, err := stock.Get(ctx, s.pool, sku)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m.levels[sku], got); diff != "" {
			t.Fatalf("stock of %s: (-want +got)\n%s", sku, diff)
		}
		var sums stock.Levels
		err = s.pool.QueryRow(ctx,
			"SELECT sum(available)::bigint, sum(reserved)::bigint, sum(deducted)::bigint FROM stock_movements WHERE sku = $1",
			sku).
			Scan(&sums.Available, &sums.Reserved, &sums.Deducted)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, sums); diff != "" {
			t.Fatalf("movements of %s: (-stock +sums)\n%s", sku, diff)
		}
	}
}

// checkOrder fails unless the order, its money and its history are what the model says.
func (s *shop) checkOrder(t *rapid.T, o *placed) {
	ctx := context.Background()
	got, err := s.store.Get(ctx, o.buyer, uuid.MustParse(o.id))
	if err != nil {
		t.Fatal(err)
	}
	if "ORDER_STATE_"+string(got.State) != o.state.String() {
		t.Fatalf("order %s is %s, want %s", o.id, got.State, o.state)
	}
	var granted, refunded, wishes int64
	for i, l := range got.Lines {
		u := o.units[i]
		want := order.Line{Shipped: u.shipped, Delivered: u.delivered, Returned: u.returned, Withdrawn: u.withdrawn}
		if diff := cmp.Diff(want, order.Line{
			Shipped:   l.Shipped,
			Delivered: l.Delivered,
			Returned:  l.Returned,
			Withdrawn: l.Withdrawn,
			Shipping:  l.Shipping,
		}); diff != "" {
			t.Fatalf("line %d of a %s order: (-want +got)\n%s", i+1, o.state, diff)
		}
		if l.RefundGranted > u.total || l.Refunded > l.RefundGranted ||
			l.Returned == l.Quantity && l.RefundGranted != u.total {
			t.Fatalf("line %d: %d granted and %d refunded of %d for %d units", i+1, l.RefundGranted, l.Refunded, u.total,
				l.Returned)
		}
		granted, refunded = granted+l.RefundGranted, refunded+l.Refunded
	}
	if err := s.pool.QueryRow(ctx, "SELECT coalesce(sum(amount), 0)::bigint FROM wishes WHERE order_id = $1",
		o.id).Scan(&wishes); err != nil {
		t.Fatal(err)
	}
	if granted != o.granted || refunded != o.refunded || wishes != o.granted {
		t.Fatalf("%d granted, %d asked for and %d refunded; want %d and %d", granted, wishes, refunded, o.granted, o.refunded)
	}
	s.checkHistory(t, o)
}

// checkHistory fails unless each change begins where the one before ended, and the last one ends
// in the order's state.
func (s *shop) checkHistory(t *rapid.T, o *placed) {
	answer, err := s.service.GetOrderHistory(context.Background(),
		&orderv1.GetOrderHistoryRequest{BuyerId: o.buyer, OrderId: o.id})
	if err != nil {
		t.Fatal(err)
	}
	state := orderv1.OrderState_ORDER_STATE_UNSPECIFIED
	var events []string
	for _, c := range answer.GetChanges() {
		events = append(events, c.GetEvent())
		if c.GetFrom() != state || order.Transitions()[name(c.GetFrom())][order.Event(c.GetEvent())] != name(c.GetTo()) {
			t.Fatalf("%s from %s to %s after %v", c.GetEvent(), c.GetFrom(), c.GetTo(), events)
		}
		state = c.GetTo()
	}
	if state != o.state {
		t.Fatalf("%v lead to %s, not to %s", events, state, o.state)
	}
}

func name(s orderv1.OrderState) order.State {
	if s == orderv1.OrderState_ORDER_STATE_UNSPECIFIED {
		return ""
	}
	return order.State(strings.TrimPrefix(s.String(), "ORDER_STATE_"))
}
