package order_test

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
)

const (
	toPay     = orderv1.OrderGroup_ORDER_GROUP_TO_PAY
	toShip    = orderv1.OrderGroup_ORDER_GROUP_TO_SHIP
	toReceive = orderv1.OrderGroup_ORDER_GROUP_TO_RECEIVE
	afterSale = orderv1.OrderGroup_ORDER_GROUP_AFTER_SALE
	closed    = orderv1.OrderGroup_ORDER_GROUP_CLOSED
)

// listed are the ids of all pages of a list of Ann's, and how many pages it has.
func listed(t *testing.T, service *order.Service, group orderv1.OrderGroup, size int32) (ids []string, pages int) {
	t.Helper()
	token := ""
	for {
		answer, err := service.ListOrders(context.Background(),
			&orderv1.ListOrdersRequest{BuyerId: "ann", Group: group, PageSize: size, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(answer.GetOrders()); n > int(size) {
			t.Fatalf("a page of %d has %d orders", size, n)
		}
		for _, o := range answer.GetOrders() {
			ids = append(ids, o.GetOrderId())
		}
		pages++
		if token = answer.GetNextPageToken(); token == "" {
			return ids, pages
		}
		if pages > 1000 {
			t.Fatalf("%s has no last page", group)
		}
	}
}

// counted is how many orders of Ann's are in each group, without the groups that have none.
func counted(t *testing.T, service *order.Service) (counts map[orderv1.OrderGroup]int32, more bool) {
	t.Helper()
	answer, err := service.CountOrders(context.Background(), &orderv1.CountOrdersRequest{BuyerId: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	counts = map[orderv1.OrderGroup]int32{}
	for _, c := range answer.GetCounts() {
		if c.GetOrders() > 0 {
			counts[c.GetGroup()] = c.GetOrders()
		}
	}
	return counts, answer.GetMore()
}

// One order, from its placing to a return, is in the groups that the API says, in lists and counts.
func TestGroupsFollowAnOrder(t *testing.T) {
	s := newShop(t)
	ctx := context.Background()
	if err := s.stocked("tea", 10); err != nil {
		t.Fatal(err)
	}
	returned, err := returns.NewService(
		returns.Options{Pool: s.pool, Orders: s.store, Clock: s.clock, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	service := s.limitedPod(t, order.ServiceOptions{Returns: returned})
	o := s.order(t, line("tea", 2))
	id := uuid.MustParse(o.GetOrderId())
	want := func(after string, groups ...orderv1.OrderGroup) {
		t.Helper()
		counts := map[orderv1.OrderGroup]int32{}
		for _, g := range groups {
			counts[g] = 1
		}
		got, more := counted(t, service)
		if diff := cmp.Diff(counts, got); diff != "" || more {
			t.Errorf("after %s the counts are (-want +got):\n%s", after, diff)
		}
		for _, g := range []orderv1.OrderGroup{toPay, toShip, toReceive, afterSale, closed} {
			if ids, _ := listed(t, service, g, 20); len(ids) != int(counts[g]) {
				t.Errorf("after %s %s has %v", after, g, ids)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want("placing", toPay)
	s.paid(t, id)
	want("payment", toShip)
	s.shipAll(t, o)
	want("shipping", toReceive)
	granted, err := s.granted(order.Grant{
		OrderID: id, Key: "k", Lines: []order.LineQuantity{{Line: 1, Quantity: 1}}, Left: true, Reason: "test", Actor: "test",
	})
	must(err)
	want("a grant", toReceive, afterSale)
	must(s.tx(func(ctx context.Context, tx *database.Tx) error {
		return s.store.RecordRefunded(ctx, tx, s.now, id, "k", uuid.New(), granted.Amount)
	}))
	want("its refund", toReceive)
	must(s.tx(func(ctx context.Context, tx *database.Tx) error {
		return s.store.RecordDelivered(ctx, tx, s.now, id, uuid.New(), []order.LineQuantity{{Line: 1, Quantity: 2}}, "test")
	}))
	want("delivery", toReceive)
	_, err = service.ConfirmReceipt(ctx,
		&orderv1.ConfirmReceiptRequest{RequestId: uuid.NewString(), BuyerId: "ann", OrderId: o.GetOrderId()})
	must(err)
	want("the buyer's word", closed)
	requested, err := returned.RequestReturn(ctx, &returnsv1.RequestReturnRequest{
		RequestId: uuid.NewString(), BuyerId: "ann", OrderId: o.GetOrderId(),
		Kind: returnsv1.ReturnKind_RETURN_KIND_WITH_PARCEL, Reason: returnsv1.ReturnReason_RETURN_REASON_OTHER,
		Lines: []*returnsv1.ReturnLineQuantity{{Line: 1, Quantity: 1}},
	})
	must(err)
	want("a return was requested", closed, afterSale)
	_, err = returned.CancelReturn(ctx, &returnsv1.CancelReturnRequest{
		RequestId: uuid.NewString(), BuyerId: "ann", ReturnId: requested.GetReturn().GetReturnId(),
	})
	must(err)
	want("it was cancelled", closed)
}

// stored writes orders of Ann's to the database, one a millisecond, and returns their ids, oldest first.
func (s *shop) stored(t *testing.T, states []order.State) []string {
	t.Helper()
	ids := make([]string, len(states))
	paid := make([]*time.Time, len(states))
	texts := make([]string, len(states))
	gen, err := orderid.NewGenerator(shopKey(), s.clock, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for i, state := range states {
		s.now = s.now.Add(time.Millisecond)
		id, err := gen.New("ann")
		if err != nil {
			t.Fatal(err)
		}
		ids[i], texts[i] = id.String(), string(state)
		if state != order.PendingPayment {
			paid[i] = &s.now
		}
	}
	_, err = s.pool.Exec(context.Background(),
		`INSERT INTO orders (order_id, buyer_id, state, version, currency, total, promotion_uid, promotion, bucket,
			created_at, expires_at, paid_at)
		SELECT order_id, 'ann', state, 1, 'CNY', 0, '', '', 0, now(), now(), paid_at
		FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS o (order_id, state, paid_at)`, ids, texts, paid)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// Whatever the sizes of the pages are, they have every order of a group once, newest first.
func TestPagesOfAGroupHaveEveryOrderOnce(t *testing.T) {
	s := newShop(t)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	groups := map[order.State]orderv1.OrderGroup{
		order.PendingPayment: toPay, order.Paid: toShip, order.Shipped: toReceive, order.Delivered: toReceive,
		order.Completed: closed, order.Cancelled: closed,
	}
	var states []order.State
	for state := range groups {
		states = append(states, state)
	}
	drawn := make([]order.State, 650)
	for i := range drawn {
		drawn[i] = states[random.IntN(len(states))]
	}
	ids := s.stored(t, drawn)
	want := map[orderv1.OrderGroup][]string{}
	for i := len(ids) - 1; i >= 0; i-- {
		want[groups[drawn[i]]] = append(want[groups[drawn[i]]], ids[i])
	}
	counts := map[orderv1.OrderGroup]int32{}
	for group, all := range want {
		counts[group] = int32(len(all))
		for _, size := range []int32{1, 7, 50, 100} {
			got, _ := listed(t, s.service, group, size)
			if diff := cmp.Diff(all, got); diff != "" {
				t.Errorf("%s in pages of %d (-want +got):\n%s", group, size, diff)
			}
		}
	}
	if got, more := counted(t, s.service); more || !cmp.Equal(counts, got) {
		t.Errorf("%v, more: %t, want %v", got, more, counts)
	}
}

// A buyer's call costs as much with 1,000 orders as with any number: what is older is for the next
// page, or not counted.
func TestManyOrders(t *testing.T) {
	s := newShop(t)
	states := make([]order.State, 2100)
	for i := range states {
		states[i] = order.Completed
	}
	states[0], states[99] = order.PendingPayment, order.PendingPayment
	ids := s.stored(t, states)
	got, pages := listed(t, s.service, toPay, 20)
	if diff := cmp.Diff([]string{ids[99], ids[0]}, got); diff != "" || pages != 3 {
		t.Errorf("%d pages, want 3 with (-want +got):\n%s", pages, diff)
	}
	counts, more := counted(t, s.service)
	if diff := cmp.Diff(map[orderv1.OrderGroup]int32{closed: 1000}, counts); diff != "" || !more {
		t.Errorf("more: %t, counts (-want +got):\n%s", more, diff)
	}
}

func TestSummaries(t *testing.T) {
	s := newShop(t)
	for _, sku := range []string{"tea", "cup"} {
		if err := s.stocked(sku, 10); err != nil {
			t.Fatal(err)
		}
	}
	o := s.order(t, line("tea", 2), line("cup", 3))
	for _, group := range []orderv1.OrderGroup{orderv1.OrderGroup_ORDER_GROUP_UNSPECIFIED, toPay} {
		answer, err := s.service.ListOrders(context.Background(), &orderv1.ListOrdersRequest{
			BuyerId: "ann", Group: group, View: orderv1.OrderView_ORDER_VIEW_SUMMARY,
		})
		if err != nil {
			t.Fatal(err)
		}
		want := &orderv1.ListOrdersResponse{Summaries: []*orderv1.OrderSummary{{
			OrderId: o.GetOrderId(), Number: o.GetNumber(), State: o.GetState(), Total: o.GetTotal(),
			FulfilmentStatus: o.GetFulfilmentStatus(), RefundStatus: o.GetRefundStatus(),
			CreatedAt: o.GetCreatedAt(), ExpiresAt: o.GetExpiresAt(), Sku: "tea", Title: "tea", LineCount: 2, UnitCount: 5,
			Version: o.GetVersion(),
		}}}
		if diff := cmp.Diff(want, answer, protocmp.Transform()); diff != "" {
			t.Errorf("of %s (-want +got):\n%s", group, diff)
		}
	}
}
