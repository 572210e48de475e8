package order_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// coupons makes a template of coupons that take so much off, and returns what gives a buyer one.
func (s *shop) coupons(t *testing.T, amount int64) func(buyer string) string {
	t.Helper()
	service := coupon.NewService(coupon.NewStore(coupon.StoreOptions{
		Pool: s.pool, Clock: func() time.Time { return s.now }, Random: rand.Reader,
	}))
	name := fmt.Sprintf("off-%d", amount)
	_, err := service.UpsertCouponTemplate(
		context.Background(),
		&couponv1.UpsertCouponTemplateRequest{RequestId: name, Template: &couponv1.CouponTemplate{
			Name:     name,
			Title:    name,
			Currency: "CNY",
			Benefit:  &couponv1.CouponTemplate_Fixed{Fixed: &couponv1.Fixed{Amount: amount}},
			Validity: &couponv1.Validity{
				Days: 7,
			},
			LimitPerBuyer:    10,
			Budget:           &couponv1.Budget{Coupons: 100},
			Claimable:        true,
			ReturnedOnCancel: true,
			ReturnedOnRefund: true,
		}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return func(buyer string) string {
		t.Helper()
		answer, err := service.ClaimCoupon(context.Background(),
			&couponv1.ClaimCouponRequest{RequestId: uuid.NewString(), BuyerId: buyer, Template: name})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetCoupon().GetCouponId()
	}
}

func (s *shop) couponState(t *testing.T, id string) string {
	t.Helper()
	var state string
	if err := s.pool.QueryRow(context.Background(), "SELECT state FROM coupons WHERE coupon_id = $1",
		id).Scan(&state); err != nil {
		t.Fatal(err)
	}
	return state
}

// orderWith is an order of Ann's with a coupon.
func (s *shop) orderWith(couponID string, lines ...*orderv1.PlaceOrderLine) (*orderv1.Order, error) {
	answer, err := s.service.PlaceOrder(context.Background(), &orderv1.PlaceOrderRequest{
		RequestId: uuid.NewString(), BuyerId: "ann", Lines: lines, CouponIds: []string{couponID},
	})
	return answer.GetOrder(), err
}

func TestCouponsFollowTheirOrder(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 100); err != nil {
		t.Fatal(err)
	}
	give := s.coupons(t, 30)
	ctx := context.Background()
	want := func(id, state, after string) {
		t.Helper()
		if got := s.couponState(t, id); got != state {
			t.Errorf("after %s the coupon is %s, want %s", after, got, state)
		}
	}
	cancel := func(o *orderv1.Order) {
		t.Helper()
		if _, err := s.service.CancelOrder(ctx,
			&orderv1.CancelOrderRequest{RequestId: uuid.NewString(), BuyerId: "ann", OrderId: o.GetOrderId()}); err != nil {
			t.Fatal(err)
		}
	}
	id := give("ann")
	o, err := s.orderWith(id, line("tea", 1))
	if err != nil || o.GetTotal().GetAmount() != 70 || len(o.GetCouponIds()) != 1 {
		t.Fatalf("%v, %v", o, err)
	}
	want(id, "LOCKED", "placing")
	_, err = s.orderWith(id, line("tea", 1))
	held := map[string]string{"coupon_id": id, "why": "LOCKED", "order_id": o.GetOrderId()}
	if diff := cmp.Diff(held, rpcerr.Metadata(err)); diff != "" || rpcerr.Reason(err) != "COUPON_UNUSABLE" {
		t.Errorf("the same coupon again: %v (-want +got):\n%s", err, diff)
	}
	cancel(o)
	want(id, "AVAILABLE", "cancelling")
	s.paid(t, uuid.MustParse(o.GetOrderId()))
	want(id, "USED", "a late payment")
	cancel(o)
	want(id, "AVAILABLE", "cancelling it paid")
	if o, err = s.orderWith(id, line("tea", 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Expire(ctx, []uuid.UUID{uuid.MustParse(o.GetOrderId())}, s.now.Add(journeyTimeout)); err != nil {
		t.Fatal(err)
	}
	want(id, "AVAILABLE", "expiry")
	if o, err = s.orderWith(id, line("tea", 2)); err != nil {
		t.Fatal(err)
	}
	s.paid(t, uuid.MustParse(o.GetOrderId()))
	want(id, "USED", "payment")
	s.shipAll(t, o)
	g, err := s.granted(order.Grant{
		OrderID: uuid.MustParse(o.GetOrderId()),
		Key:     "k",
		Lines:   []order.LineQuantity{{Line: 1, Quantity: 2}},
		Left:    true,
		Reason:  "test",
		Actor:   "test",
	})
	if err != nil || g.Amount != 170 {
		t.Fatalf("%+v, %v", g, err)
	}
	want(id, "USED", "a grant")
	err = s.tx(func(ctx context.Context, tx *database.Tx) error {
		return s.store.RecordRefunded(ctx, tx, s.now, uuid.MustParse(o.GetOrderId()), "k", uuid.New(), 170)
	})
	if err != nil {
		t.Fatal(err)
	}
	want(id, "AVAILABLE", "the refund of all of it")
}

func (s *shop) shipAll(t *testing.T, o *orderv1.Order) {
	t.Helper()
	id := uuid.MustParse(o.GetOrderId())
	if _, err := s.pool.Exec(context.Background(),
		"UPDATE orders SET address = '{\"recipient\": \"Ann\"}' WHERE order_id = $1 AND address IS NULL", id); err != nil {
		t.Fatal(err)
	}
	err := s.tx(func(ctx context.Context, tx *database.Tx) error {
		parcel, err := s.store.ReserveShipment(ctx, tx, s.now, id, nil)
		if err != nil {
			return err
		}
		var lines []order.LineQuantity
		for _, l := range parcel.Lines {
			lines = append(lines, order.LineQuantity{Line: l.Line, Quantity: l.Quantity})
		}
		return s.store.RecordShipped(ctx, tx, s.now, id, uuid.New(), lines, "test")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// One coupon wanted by many orders at once is one order's. A coupon whose order then gets no
// stock stays the buyer's.
func TestOneCouponForManyOrders(t *testing.T) {
	s := newShop(t)
	for sku, units := range map[string]int64{"tea": 100, "cup": 1} {
		if err := s.stocked(sku, units); err != nil {
			t.Fatal(err)
		}
	}
	id := s.coupons(t, 30)("ann")
	if _, err := s.orderWith(id, line("tea", 1), line("cup", 2)); rpcerr.Reason(err) != "INSUFFICIENT_STOCK" {
		t.Fatal(err)
	}
	if got := s.couponState(t, id); got != "AVAILABLE" {
		t.Fatalf("without stock the coupon is %s", got)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string]int{}
	placed, named := map[string]int{}, map[string]int{}
	for i := range 30 {
		wg.Go(func() {
			var o *orderv1.Order
			var err error
			if i%3 == 0 {
				o, err = s.orderWith(id, line("tea", 1), line("cup", 1))
			} else {
				_, err = s.service.PlaceOrder(context.Background(), &orderv1.PlaceOrderRequest{
					RequestId: uuid.NewString(),
					BuyerId:   "bob",
					Lines:     []*orderv1.PlaceOrderLine{line("tea", 1)},
				})
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[fmt.Sprint(i%3 == 0, rpcerr.Reason(err))]++
			if err != nil {
				named[rpcerr.Metadata(err)["order_id"]]++
			} else if o != nil {
				placed[o.GetOrderId()] = 9
			}
		})
	}
	wg.Wait()
	if outcomes["false"] != 20 || outcomes["true"] != 1 || outcomes["trueCOUPON_UNUSABLE"] != 9 {
		t.Errorf("%v", outcomes)
	}
	if diff := cmp.Diff(placed, named); diff != "" {
		t.Errorf("the order that has the coupon, and what the others are told (-want +got):\n%s", diff)
	}
	if got := s.couponState(t, id); got != "LOCKED" {
		t.Errorf("the coupon is %s", got)
	}
}

// What coupons take all of off is paid as it is placed, and can be cancelled again.
func TestNothingToPay(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 3); err != nil {
		t.Fatal(err)
	}
	id := s.coupons(t, 100)("ann")
	o, err := s.orderWith(id, line("tea", 1))
	if err != nil {
		t.Fatal(err)
	}
	if o.GetState() != paid || o.GetTotal().GetAmount() != 0 || o.GetDiscount().GetAmount() != 100 {
		t.Errorf("%v", o)
	}
	read, err := s.service.GetOrder(context.Background(),
		&orderv1.GetOrderRequest{BuyerId: "ann", OrderId: o.GetOrderId()})
	if err != nil || read.GetOrder().GetState() != paid || read.GetOrder().GetVersion() != o.GetVersion() {
		t.Errorf("%v, %v; want %v", read, err, o)
	}
	if got := s.couponState(t, id); got != "USED" {
		t.Errorf("the coupon is %s", got)
	}
	if _, err := s.service.CancelOrder(context.Background(),
		&orderv1.CancelOrderRequest{RequestId: "c", BuyerId: "ann", OrderId: o.GetOrderId()}); err != nil {
		t.Fatal(err)
	}
	if got, err := stock.Get(context.Background(), s.pool, "tea"); err != nil || got != (stock.Levels{Available: 3}) {
		t.Errorf("%+v, %v", got, err)
	}
	if n := s.count(t, "wishes"); n != 0 {
		t.Errorf("%d refunds of nothing", n)
	}
}

// No provider tells that nothing was paid back.
func TestWhatCostNothingIsReturned(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 3); err != nil {
		t.Fatal(err)
	}
	id := s.coupons(t, 200)("ann")
	o, err := s.orderWith(id, line("tea", 2))
	if err != nil {
		t.Fatal(err)
	}
	s.shipAll(t, o)
	for n, want := range []string{"USED", "AVAILABLE"} {
		err := s.tx(func(ctx context.Context, tx *database.Tx) error {
			_, err := s.store.GrantRefund(ctx, tx, s.now, order.Grant{
				OrderID: uuid.MustParse(o.GetOrderId()),
				Key:     fmt.Sprint(n),
				Lines:   []order.LineQuantity{{Line: 1, Quantity: 1}},
				Left:    true,
				Reason:  "test",
				Actor:   "test",
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.couponState(t, id); got != want {
			t.Errorf("after %d of 2 units the coupon is %s, want %s", n+1, got, want)
		}
	}
}
