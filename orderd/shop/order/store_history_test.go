package order

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
)

func TestBuyersAreNotToldWhoOfTheStaffActedAndWhy(t *testing.T) {
	got := forBuyers([]*orderv1.OrderChange{
		{Version: 1, Event: "place", Actor: "buyer"},
		{Version: 2, Event: "tag", Actor: "staff rita", Reason: "vip"},
		{Version: 3, Event: "pay", Actor: "provider alipay", Reason: "payment 1"},
		{Version: 4, Event: "note", Actor: "staff rita"},
		{Version: 5, Event: "cancel", Actor: "staff rita", Reason: "looks like fraud"},
		{Version: 6, Event: "refund", Actor: "staff"},
	})
	want := []*orderv1.OrderChange{
		{Version: 1, Event: "place", Actor: "buyer"},
		{Version: 3, Event: "pay", Actor: "provider alipay", Reason: "payment 1"},
		{Version: 5, Event: "cancel", Actor: "staff"},
		{Version: 6, Event: "refund", Actor: "staff"},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
