package sale_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

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

func TestARefusalIsTheSameInAllItsForms(t *testing.T) {
	s := sale.New(&flashv1.Promotion{StartUnixMs: 1000, EndUnixMs: 2000, Items: []*flashv1.PromotedItem{{Sku: "a"}, {Sku: "b"}}})
	tests := []struct {
		name string
		err  error
		code connect.Code
		want *flashv1.FlashOrderRefusal
	}{
		{"sold out", s.SoldOut(1), connect.CodeResourceExhausted, &flashv1.FlashOrderRefusal{Reason: sale.ReasonSoldOut, Message: "sold out", Metadata: map[string]string{"sku": "b", "left": "0"}}},
		{"some left", sale.SoldOut("a", 2), connect.CodeResourceExhausted, &flashv1.FlashOrderRefusal{Reason: sale.ReasonSoldOut, Message: "sold out", Metadata: map[string]string{"sku": "a", "left": "2"}}},
		{"off", s.ItemOff(0), connect.CodeFailedPrecondition, &flashv1.FlashOrderRefusal{Reason: sale.ReasonItemOff, Message: "the item is switched off", Metadata: map[string]string{"sku": "a"}}},
		{"not started", s.NotStarted(), connect.CodeFailedPrecondition, &flashv1.FlashOrderRefusal{Reason: sale.ReasonNotStarted, Message: "the promotion has not started", Metadata: map[string]string{"start_time": "1970-01-01T00:00:01Z"}}},
		{"ended", s.Ended(), connect.CodeFailedPrecondition, &flashv1.FlashOrderRefusal{Reason: sale.ReasonEnded, Message: "the promotion has ended"}},
		{"paused", s.Paused(), connect.CodeFailedPrecondition, &flashv1.FlashOrderRefusal{Reason: sale.ReasonPaused, Message: "the promotion is paused"}},
		{"with a delay", sale.Overloaded(1500 * time.Millisecond), connect.CodeUnavailable, &flashv1.FlashOrderRefusal{Reason: sale.ReasonOverloaded, Message: "too many requests at once", RetryDelayMs: 1500}},
		{"no token", sale.AdmissionRequired("a"), connect.CodePermissionDenied, &flashv1.FlashOrderRefusal{Reason: sale.ReasonAdmissionRequired, Message: "the item needs an admission token", Metadata: map[string]string{"sku": "a"}}},
		{"admission closed", sale.AdmissionClosed(s.Start()), connect.CodeFailedPrecondition, &flashv1.FlashOrderRefusal{Reason: sale.ReasonAdmissionClosed, Message: "no more admission tokens are given out", Metadata: map[string]string{"end_time": "1970-01-01T00:00:01Z"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.want.Code = test.code.String()
			var r *sale.Refusal
			if !errors.As(fmt.Errorf("wrapped: %w", test.err), &r) {
				t.Fatalf("%v is no refusal", test.err)
			}
			again := sale.FromMessage(r.Message())
			for _, r := range []*sale.Refusal{r, again} {
				if diff := cmp.Diff(test.want, r.Message(), protocmp.Transform()); diff != "" {
					t.Errorf("message (-want +got):\n%s", diff)
				}
				delay, asked := rpcerr.RetryAfter(r)
				if connect.CodeOf(r) != test.code || r.Code() != test.code || rpcerr.Reason(r.Unwrap()) != test.want.Reason || rpcerr.Reason(r) != test.want.Reason ||
					delay.Milliseconds() != test.want.RetryDelayMs || delay != r.RetryAfter() || asked != (test.want.RetryDelayMs > 0) {
					t.Errorf("error %v (%s), details %v, delay %s", r, connect.CodeOf(r), rpcerr.Metadata(r), delay)
				}
				if diff := cmp.Diff(test.want.Metadata, rpcerr.Metadata(r)); diff != "" {
					t.Errorf("metadata (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestARefusalOfAnotherVersionIsInternal(t *testing.T) {
	r := sale.FromMessage(&flashv1.FlashOrderRefusal{Code: "brand_new", Reason: "BRAND_NEW", RetryDelayMs: -5})
	if r.Code() != connect.CodeInternal || r.Reason() != "BRAND_NEW" || r.RetryAfter() != 0 {
		t.Errorf("%s %s %s", r.Code(), r.Reason(), r.RetryAfter())
	}
}

func TestItemsHaveDenseIndexes(t *testing.T) {
	s := sale.New(&flashv1.Promotion{Items: []*flashv1.PromotedItem{{Sku: "a"}, {Sku: "b"}}})
	for sku, want := range map[string]int{"a": 0, "b": 1} {
		if i, ok := s.Index(sku); !ok || i != want || s.Item(sku) != s.GetItems()[want] {
			t.Errorf("%s has index %d (%v), want %d", sku, i, ok, want)
		}
	}
	if _, ok := s.Index("x"); ok || s.Item("x") != nil {
		t.Error("an unknown item has an index")
	}
}

func BenchmarkRefuse(b *testing.B) {
	s := sale.New(&flashv1.Promotion{StartUnixMs: 1000, EndUnixMs: 2000, Items: []*flashv1.PromotedItem{{Sku: "a"}}})
	b.ReportAllocs()
	for b.Loop() {
		i, _ := s.Index("a")
		if r := s.SoldOut(i); r.Unwrap() == nil || r.Message() == nil || rpcerr.Reason(r) != sale.ReasonSoldOut {
			b.Fatal(r)
		}
	}
}
