package order

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
)

func TestGroupsByState(t *testing.T) {
	want := map[State]orderv1.OrderGroup{
		PendingPayment: orderv1.OrderGroup_ORDER_GROUP_TO_PAY,
		Paid:           orderv1.OrderGroup_ORDER_GROUP_TO_SHIP,
		Shipped:        orderv1.OrderGroup_ORDER_GROUP_TO_RECEIVE,
		Delivered:      orderv1.OrderGroup_ORDER_GROUP_TO_RECEIVE,
		Completed:      orderv1.OrderGroup_ORDER_GROUP_CLOSED,
		Cancelled:      orderv1.OrderGroup_ORDER_GROUP_CLOSED,
	}
	got := map[State]orderv1.OrderGroup{}
	for from := range Transitions() {
		if from != "" {
			got[from] = groupOf(from)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the groups of the life cycle's states (-want +got):\n%s", diff)
	}
}

func TestEveryGroupIsCounted(t *testing.T) {
	want := []orderv1.OrderGroup{
		orderv1.OrderGroup_ORDER_GROUP_TO_PAY,
		orderv1.OrderGroup_ORDER_GROUP_TO_SHIP,
		orderv1.OrderGroup_ORDER_GROUP_TO_RECEIVE,
		orderv1.OrderGroup_ORDER_GROUP_AFTER_SALE,
		orderv1.OrderGroup_ORDER_GROUP_CLOSED,
	}
	if diff := cmp.Diff(want, groups()); diff != "" {
		t.Error(diff)
	}
}

func TestInGroup(t *testing.T) {
	const toReceive, afterSale = orderv1.OrderGroup_ORDER_GROUP_TO_RECEIVE, orderv1.OrderGroup_ORDER_GROUP_AFTER_SALE
	for _, tt := range []struct {
		name string
		seen glance
		want []orderv1.OrderGroup
	}{
		{"by its state", glance{state: Shipped, paid: true}, []orderv1.OrderGroup{toReceive}},
		{
			"with a return", glance{state: Shipped, paid: true, afterSale: true},
			[]orderv1.OrderGroup{toReceive, afterSale},
		},
	} {
		var got []orderv1.OrderGroup
		for _, group := range groups() {
			if tt.seen.in(group) {
				got = append(got, group)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
