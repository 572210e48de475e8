package order

import (
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func orderOf(total int64, units ...int64) *Order {
	o := &Order{BuyerID: "ann", Total: total}
	for _, n := range units {
		o.Lines = append(o.Lines, Line{Quantity: n})
	}
	return o
}

func TestWhichOrdersBreakALimit(t *testing.T) {
	ofPromotion := orderOf(1, 100)
	ofPromotion.PromotionUID = "uid"
	for _, tt := range []struct {
		name  string
		most  Limits
		has   amount
		order *Order
		// refused is the metadata of the refusal; nil: the order is taken.
		refused map[string]string
	}{
		{"the first order", Limits{2, 10}, amount{}, orderOf(1, 3, 4), nil},
		{"the last order that may be", Limits{2, 10}, amount{1, 1}, orderOf(1, 9), nil},
		{
			"one order too many", Limits{2, 10}, amount{2, 2}, orderOf(1, 1),
			map[string]string{"limit": "unpaidOrders", "most": "2", "left": "0"},
		},
		{
			"a unit too many", Limits{2, 10}, amount{1, 7}, orderOf(1, 2, 2),
			map[string]string{"limit": "reservedUnits", "most": "10", "left": "3"},
		},
		{
			"a first order of more than ever may be", Limits{2, 10}, amount{}, orderOf(1, 11),
			map[string]string{"limit": "reservedUnits", "most": "10", "left": "10"},
		},
		{
			"more than the limit was lowered to", Limits{2, 10}, amount{1, 30}, orderOf(1, 1),
			map[string]string{"limit": "reservedUnits", "most": "10", "left": "0"},
		},
		{"no limit of orders", Limits{Units: 10}, amount{90, 9}, orderOf(1, 1), nil},
		{"no limit of units", Limits{Orders: 2}, amount{1, 9000}, orderOf(1, 9000), nil},
		{"nothing to pay", Limits{2, 10}, amount{2, 10}, orderOf(0, 5), nil},
		{"of a promotion", Limits{2, 10}, amount{2, 10}, ofPromotion, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.has.refuse(tt.order, tt.most)
			if (err != nil) != (tt.refused != nil) || err != nil &&
				(connect.CodeOf(err) != connect.CodeResourceExhausted || rpcerr.Reason(err) != "TOO_MANY_UNPAID") {
				t.Fatalf("refused with %v", err)
			}
			if diff := cmp.Diff(tt.refused, rpcerr.Metadata(err)); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
		})
	}
}

// What is counted when an order is placed is what is taken off when it is paid, cancelled or expired.
func TestWhatNoLongerCounts(t *testing.T) {
	flash := orderOf(1, 100)
	flash.PromotionUID = "uid"
	bobs := orderOf(1, 7)
	bobs.BuyerID = "bob"
	changes := []change{
		{order: orderOf(1, 2, 3), from: PendingPayment, to: Paid},
		{order: orderOf(1, 4), from: PendingPayment, to: Cancelled},
		{order: orderOf(0, 50), from: PendingPayment, to: Paid},
		{order: flash, from: PendingPayment, to: Cancelled},
		{order: orderOf(1, 50), from: PendingPayment, to: PendingPayment},
		{order: orderOf(1, 50), from: "", to: PendingPayment},
		{order: orderOf(1, 50), from: Cancelled, to: Paid},
		{order: orderOf(1, 50), from: Paid, to: Cancelled},
		{order: bobs, from: PendingPayment, to: Cancelled},
	}
	got := noLongerUnpaid(changes)
	if diff := cmp.Diff(unpaid{"ann": {2, 9}, "bob": {1, 7}}, got, cmp.AllowUnexported(amount{})); diff != "" {
		t.Errorf("no longer unpaid (-want +got):\n%s", diff)
	}
	left := got.less(unpaid{"ann": {1, 4}, "bob": {1, 7}})
	if diff := cmp.Diff(unpaid{"ann": {1, 5}}, left, cmp.AllowUnexported(amount{})); diff != "" {
		t.Errorf("without some of it (-want +got):\n%s", diff)
	}
}
