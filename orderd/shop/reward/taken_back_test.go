package reward_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
)

func refundedInFull(o *orderv1.Order) proto.Message {
	o.RefundStatus = orderv1.RefundStatus_REFUND_STATUS_REFUNDED
	return &orderv1.OrderRefunded{Order: o}
}

// comebacks are ends of an order, and how many coupons of two, one of them to be taken back, are in a state then.
var comebacks = []struct {
	name string
	then func(*orderv1.Order) proto.Message
	want map[couponv1.CouponState]int
}{
	{
		"cancelled after payment",
		func(o *orderv1.Order) proto.Message { return &orderv1.OrderCancelled{Order: o} },
		map[couponv1.CouponState]int{available: 1, revoked: 1},
	},
	{"refunded in full", refundedInFull, map[couponv1.CouponState]int{available: 1, revoked: 1}},
	{"refunded in part", func(o *orderv1.Order) proto.Message {
		o.RefundStatus = orderv1.RefundStatus_REFUND_STATUS_PARTIALLY_REFUNDED
		return &orderv1.OrderRefunded{Order: o}
	}, map[couponv1.CouponState]int{available: 2, revoked: 0}},
}

func TestWhatComesBackWithTheOrder(t *testing.T) {
	for _, test := range comebacks {
		t.Run(test.name, func(t *testing.T) {
			s := newShop(t)
			s.template(t, "thanks", 100, 100)
			s.campaign(t, "kept", "thanks", 100, nil)
			s.campaign(t, "taken", "thanks", 100, func(c *rewardv1.Campaign) { c.TakenBack = true })
			o := s.order("ann")
			s.paid(t, o)
			for range 2 {
				if err := s.handle(o, test.then(o)); err != nil {
					t.Fatal(err)
				}
			}
			for state, want := range test.want {
				if got := s.has(t, state); got != want {
					t.Errorf("%s: %d coupons, want %d", state, got, want)
				}
			}
		})
	}
	t.Run("the end is heard of before the payment", endBeforePayment)
	t.Run("the payment and the end are handled together", paymentWithEnd)
	t.Run("an unpaid order that expires", unpaidThatExpires)
}

func endBeforePayment(t *testing.T) {
	s := newShop(t)
	s.template(t, "thanks", 100, 100)
	s.campaign(t, "kept", "thanks", 100, nil)
	o := s.order("ann")
	if err := s.handle(o, refundedInFull(o)); err != nil {
		t.Fatal(err)
	}
	s.paid(t, o)
	if n := s.has(t, available); n != 0 {
		t.Errorf("ann has %d coupons", n)
	}
}

func paymentWithEnd(t *testing.T) {
	s := newShop(t)
	s.template(t, "thanks", 100, 100)
	s.campaign(t, "taken", "thanks", 100, func(c *rewardv1.Campaign) { c.TakenBack = true })
	o, other := s.order("ann"), s.order("bob")
	if err := s.handleAll(event(o, &orderv1.OrderPaid{Order: o}), event(o, &orderv1.OrderPaid{Order: o}),
		event(other, &orderv1.OrderPaid{Order: other}), event(o, refundedInFull(proto.CloneOf(o)))); err != nil {
		t.Fatal(err)
	}
	if a, r := s.has(t, available), s.has(t, revoked); a != 0 || r != 1 {
		t.Errorf("ann has %d coupons, %d were taken back", a, r)
	}
	if diff := cmp.Diff(map[string]string{"taken": "GRANTED"}, s.outcomes(t, other)); diff != "" {
		t.Errorf("bob's (-want +got):\n%s", diff)
	}
}

func unpaidThatExpires(t *testing.T) {
	s := newShop(t)
	s.template(t, "thanks", 100, 100)
	s.campaign(t, "kept", "thanks", 100, nil)
	o := s.order("ann")
	unpaid := proto.CloneOf(o)
	unpaid.PaidAt = nil
	if err := s.handle(o, &orderv1.OrderCancelled{Order: unpaid}); err != nil {
		t.Fatal(err)
	}
	// Its payment comes late, and is taken.
	s.paid(t, o)
	if n := s.has(t, available); n != 1 {
		t.Errorf("ann has %d coupons", n)
	}
}
