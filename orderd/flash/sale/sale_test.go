package sale_test

import (
	"testing"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/sale"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
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
		{"a millisecond early", 999, false, false, []string{"a"}, sale.ReasonNotStarted},
		{"at the start", 1000, false, false, []string{"a"}, ""},
		{"last moment", 1999, false, false, []string{"a"}, ""},
		{"at the end", 2000, false, false, []string{"a"}, sale.ReasonEnded},
		{"closed early", 1500, false, true, []string{"a"}, sale.ReasonEnded},
		{"paused", 1500, true, false, []string{"a"}, sale.ReasonPaused},
		{"unknown item", 1500, false, false, []string{"a", "x"}, sale.ReasonItemNotFound},
		{"item off", 1500, false, false, []string{"a", "off"}, sale.ReasonItemOff},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := sale.New(&flashv1.Promotion{StartUnixMs: 1000, EndUnixMs: 2000, Paused: test.paused, Closed: test.closed,
				Items: []*flashv1.PromotedItem{{Sku: "a"}, {Sku: "off", Off: true}}})
			request := &flashv1.PlaceFlashOrderRequest{}
			for _, sku := range test.skus {
				request.Items = append(request.Items, &flashv1.FlashOrderItem{Sku: sku, Quantity: 1})
			}
			if got := rpcerr.Reason(s.Admit(time.UnixMilli(test.ms), request)); got != test.want {
				t.Errorf("refused with %q, want %q", got, test.want)
			}
		})
	}
}

func TestOnlyItemsWithNothingLeftCountAsSoldOut(t *testing.T) {
	if got := sale.SoldOutSKU(sale.SoldOut("a", 0)); got != "a" {
		t.Errorf("SoldOutSKU %q, want a", got)
	}
	for _, err := range []error{sale.SoldOut("a", 1), sale.Ended(), nil} {
		if got := sale.SoldOutSKU(err); got != "" {
			t.Errorf("SoldOutSKU(%v) %q, want none", err, got)
		}
	}
}
