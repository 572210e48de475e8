package refusal_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func TestARefusalIsTheSameInAllItsForms(t *testing.T) {
	promo := promotion.New(&flashv1.Promotion{
		StartUnixMs: 1000, EndUnixMs: 2000, Items: []*flashv1.PromotedItem{{Sku: "a"}, {Sku: "b"}},
	})
	tests := []struct {
		name string
		err  error
		code connect.Code
		want *flashv1.FlashOrderRefusal
	}{
		{"sold out", promo.SoldOut(1), connect.CodeResourceExhausted, &flashv1.FlashOrderRefusal{
			Reason: rpcerr.ReasonSoldOut, Message: "sold out", Metadata: map[string]string{"sku": "b", "left": "0"},
		}},
		{"some left", refusal.SoldOut("a", 2), connect.CodeResourceExhausted, &flashv1.FlashOrderRefusal{
			Reason: rpcerr.ReasonSoldOut, Message: "sold out", Metadata: map[string]string{"sku": "a", "left": "2"},
		}},
		{"off", promo.ItemOff(0), connect.CodeFailedPrecondition, &flashv1.FlashOrderRefusal{
			Reason: rpcerr.ReasonItemOff, Message: "the item is switched off", Metadata: map[string]string{"sku": "a"},
		}},
		{"not started", promo.NotStarted(), connect.CodeFailedPrecondition, &flashv1.FlashOrderRefusal{
			Reason: rpcerr.ReasonNotStarted, Message: "the promotion has not started",
			Metadata: map[string]string{"start_time": "1970-01-01T00:00:01Z"},
		}},
		{"ended", promo.Ended(), connect.CodeFailedPrecondition, &flashv1.FlashOrderRefusal{
			Reason: rpcerr.ReasonEnded, Message: "the promotion has ended",
		}},
		{"paused", promo.Paused(), connect.CodeFailedPrecondition, &flashv1.FlashOrderRefusal{
			Reason: rpcerr.ReasonPaused, Message: "the promotion is paused",
		}},
		{"with a delay", refusal.Overloaded(1500 * time.Millisecond), connect.CodeUnavailable, &flashv1.FlashOrderRefusal{
			Reason: rpcerr.ReasonOverloaded, Message: "too many requests at once", RetryDelayMs: 1500,
		}},
		{"no token", refusal.AdmissionRequired("a"), connect.CodePermissionDenied, &flashv1.FlashOrderRefusal{
			Reason: rpcerr.ReasonAdmissionRequired, Message: "the item needs an admission token",
			Metadata: map[string]string{"sku": "a"},
		}},
		{"no more", refusal.AdmissionClosed(promo.Start()), connect.CodeFailedPrecondition, &flashv1.FlashOrderRefusal{
			Reason: rpcerr.ReasonAdmissionClosed, Message: "no more admission tokens are given out",
			Metadata: map[string]string{"end_time": "1970-01-01T00:00:01Z"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.want.Code = test.code.String()
			var r *refusal.Error
			if !errors.As(fmt.Errorf("wrapped: %w", test.err), &r) {
				t.Fatalf("%v is no refusal", test.err)
			}
			for _, r := range []*refusal.Error{r, refusal.FromMessage(r.Message()), refusal.FromError(r.Unwrap())} {
				if diff := cmp.Diff(test.want, r.Message(), protocmp.Transform()); diff != "" {
					t.Errorf("message (-want +got):\n%s", diff)
				}
				if connect.CodeOf(r) != test.code || r.Code() != test.code {
					t.Errorf("%v has code %s and is a %s", r, r.Code(), connect.CodeOf(r))
				}
				if rpcerr.Reason(r.Unwrap()) != test.want.Reason || rpcerr.Reason(r) != test.want.Reason {
					t.Errorf("%v has reason %s, its error %s", r, rpcerr.Reason(r), rpcerr.Reason(r.Unwrap()))
				}
				delay, asked := rpcerr.RetryAfter(r)
				if delay.Milliseconds() != test.want.RetryDelayMs || delay != r.RetryAfter() ||
					asked != (test.want.RetryDelayMs > 0) {
					t.Errorf("%v asks for a delay of %s (%v)", r, delay, asked)
				}
				if diff := cmp.Diff(test.want.Metadata, rpcerr.Metadata(r)); diff != "" {
					t.Errorf("metadata (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestARefusalOfAnotherVersionIsInternal(t *testing.T) {
	r := refusal.FromMessage(&flashv1.FlashOrderRefusal{Code: "brand_new", Reason: "BRAND_NEW", RetryDelayMs: -5})
	if r.Code() != connect.CodeInternal || r.Reason() != "BRAND_NEW" || r.RetryAfter() != 0 {
		t.Errorf("%s %s %s", r.Code(), r.Reason(), r.RetryAfter())
	}
}

func BenchmarkRefuse(b *testing.B) {
	promo := promotion.New(&flashv1.Promotion{
		StartUnixMs: 1000, EndUnixMs: 2000, Items: []*flashv1.PromotedItem{{Sku: "a"}},
	})
	b.ReportAllocs()
	for b.Loop() {
		i, _ := promo.Index("a")
		if r := promo.SoldOut(i); r.Unwrap() == nil || r.Message() == nil || rpcerr.Reason(r) != rpcerr.ReasonSoldOut {
			b.Fatal(r)
		}
	}
}

func TestRefusalsAsMessages(t *testing.T) {
	driver := errors.New("a driver's words")
	for _, err := range []error{
		refusal.SoldOut("a", 2), refusal.Overloaded(200 * time.Millisecond), driver,
		rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonInvalidRequest, "buyer_id: must be there"),
	} {
		message := refusal.FromError(err).Message()
		if message.GetReason() == "" || message.GetCode() == "" {
			t.Errorf("%v as a message: %v", err, message)
		}
		back := refusal.FromError(refusal.FromMessage(message)).Message()
		if diff := cmp.Diff(message, back, protocmp.Transform()); diff != "" {
			t.Errorf("%v came back (-want +got):\n%s", err, diff)
		}
	}
	if got := refusal.FromError(driver).Message().GetMessage(); got != "internal error" {
		t.Errorf("a driver's words came out: %q", got)
	}
}
