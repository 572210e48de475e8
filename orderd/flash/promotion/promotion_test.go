package promotion_test

import (
	"testing"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func TestAdmit(t *testing.T) {
	tests := []struct {
		name   string
		ms     int64
		paused bool
		closed bool
		skus   []string
		want   string
	}{
		{"a millisecond early", 999, false, false, []string{"a"}, rpcerr.ReasonNotStarted},
		{"at the start", 1000, false, false, []string{"a"}, ""},
		{"last moment", 1999, false, false, []string{"a"}, ""},
		{"at the end", 2000, false, false, []string{"a"}, rpcerr.ReasonEnded},
		{"closed early", 1500, false, true, []string{"a"}, rpcerr.ReasonEnded},
		{"paused", 1500, true, false, []string{"a"}, rpcerr.ReasonPaused},
		{"unknown item", 1500, false, false, []string{"a", "x"}, rpcerr.ReasonItemNotFound},
		{"item off", 1500, false, false, []string{"a", "off"}, rpcerr.ReasonItemOff},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			promo := promotion.New(&flashv1.Promotion{
				StartUnixMs: 1000, EndUnixMs: 2000, Paused: test.paused, Closed: test.closed,
				Items: []*flashv1.PromotedItem{{Sku: "a"}, {Sku: "off", Off: true}},
			})
			request := &flashv1.PlaceFlashOrderRequest{}
			for _, sku := range test.skus {
				request.Items = append(request.Items, &flashv1.FlashOrderItem{Sku: sku, Quantity: 1})
			}
			if got := rpcerr.Reason(promo.Admit(time.UnixMilli(test.ms), request)); got != test.want {
				t.Errorf("refused with %q, want %q", got, test.want)
			}
		})
	}
}

func TestItemsHaveDenseIndexes(t *testing.T) {
	promo := promotion.New(&flashv1.Promotion{Items: []*flashv1.PromotedItem{{Sku: "a"}, {Sku: "b"}}})
	for sku, want := range map[string]int{"a": 0, "b": 1} {
		if i, ok := promo.Index(sku); !ok || i != want || promo.Item(sku) != promo.GetItems()[want] {
			t.Errorf("%s has index %d (%v), want %d", sku, i, ok, want)
		}
	}
	if _, ok := promo.Index("x"); ok || promo.Item("x") != nil {
		t.Error("an unknown item has an index")
	}
}
