package stripe

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v82"
	"github.com/stripe/stripe-go/v82/webhook"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

const testSecret = "whsec_test"

var testNow = time.Unix(1_794_362_400, 0)

// header signs with the library's own ComputeSignature.
func header(body []byte, at time.Time, secret string) http.Header {
	out := http.Header{}
	out.Set(signatureHeader,
		fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(webhook.ComputeSignature(at, body, secret))))
	return out
}

var (
	paymentID = uuid.MustParse("0197e1c2-0000-4000-8000-00000000000a")
	refundID  = uuid.MustParse("0197e1c2-0000-4000-8000-00000000000b")
)

func eventText(kind, object string) string {
	return fmt.Sprintf(
		`{"id":"evt_1","object":"event","api_version":%q,"created":%d,"livemode":false,"type":%q,"data":{"object":%s}}`,
		stripe.APIVersion, testNow.Unix(), kind, object,
	)
}

func intentText(change ...string) string {
	text := `{"id":"pi_1","object":"payment_intent","amount":8801,"amount_received":8801,"currency":"usd",` +
		`"status":"succeeded","latest_charge":"ch_1",` +
		`"metadata":{"payment_id":"` + paymentID.String() + `","order_id":"x"}}`
	return strings.NewReplacer(change...).Replace(text)
}

func refundText(change ...string) string {
	text := `{"id":"re_1","object":"refund","amount":100,"currency":"usd","status":"succeeded","payment_intent":"pi_1",` +
		`"charge":"ch_1",` +
		`"metadata":{"payment_id":"` + paymentID.String() + `","refund_id":"` + refundID.String() + `"}}`
	return strings.NewReplacer(change...).Replace(text)
}

// eventCase is an event and what it is read as, or why it is not believed.
type eventCase struct {
	body   string
	header http.Header
	want   payment.Notification
	reason string
}

// believedEvents are those that say something.
func believedEvents() map[string]eventCase {
	paid := payment.Notification{
		Kind: payment.KindPayment, TransactionID: "pi_1", PaymentID: paymentID, Amount: 8801, Currency: "USD",
		Success: true, PaidAt: testNow,
	}
	back := payment.Notification{
		Kind: payment.KindRefund, TransactionID: "re_1", PaymentID: paymentID, RefundID: refundID, Amount: 100,
		Currency: "USD", Success: true, PaidAt: testNow,
	}
	with := func(n payment.Notification, change func(*payment.Notification)) payment.Notification {
		change(&n)
		return n
	}
	failed := func(reason string) func(*payment.Notification) {
		return func(n *payment.Notification) { n.Success, n.PaidAt, n.Reason = false, time.Time{}, reason }
	}
	return map[string]eventCase{
		"paid": {body: eventText("payment_intent.succeeded", intentText()), want: paid},
		"paid in part": {
			body: eventText("payment_intent.succeeded", intentText(`"amount_received":8801`, `"amount_received":88`)),
			want: with(paid, func(n *payment.Notification) { n.Amount = 88 }),
		},
		"canceled": {
			body: eventText("payment_intent.canceled", intentText("succeeded", "canceled")),
			want: with(paid, failed("canceled")),
		},
		"a failed try": {
			body: eventText("payment_intent.payment_failed", intentText()),
			want: payment.Notification{Ignore: true, TransactionID: "evt_1"},
		},
		"somebody else's": {
			body: eventText("payment_intent.succeeded", intentText("payment_id", "other_id")),
			want: payment.Notification{Ignore: true, TransactionID: "pi_1"},
		},
		"refunded": {body: eventText("refund.updated", refundText()), want: back},
		"refund failed": {
			body: eventText("refund.failed", refundText("succeeded", "failed")), want: with(back, failed("failed")),
		},
		"refund pending": {
			body: eventText("refund.created", refundText("succeeded", "pending")),
			want: payment.Notification{Kind: payment.KindRefund, Ignore: true, TransactionID: "re_1"},
		},
		"a desk's refund": {
			body: eventText("refund.updated", refundText("refund_id", "x")),
			want: payment.Notification{Kind: payment.KindRefund, Ignore: true, TransactionID: "re_1"},
		},
	}
}

// refusedEvents are those that are not believed.
func refusedEvents() map[string]eventCase {
	succeeded := eventText("payment_intent.succeeded", intentText())
	return map[string]eventCase{
		"live mode": {
			body: strings.Replace(succeeded, `"livemode":false`, `"livemode":true`, 1), reason: payment.ReasonMerchantWrong,
		},
		"another account": {
			body:   strings.Replace(succeeded, `"livemode"`, `"account":"acct_2","livemode"`, 1),
			reason: payment.ReasonMerchantWrong,
		},
		"another version": {body: strings.Replace(succeeded, stripe.APIVersion, "2020-01-01", 1), reason: "MALFORMED"},
		"no object":       {body: eventText("payment_intent.succeeded", "null"), reason: "MALFORMED"},
		"no data": {
			body: `{"id":"evt_1","object":"event","type":"payment_intent.succeeded",` +
				`"api_version":"` + stripe.APIVersion + `"}`,
			reason: "MALFORMED",
		},
		"amount is text": {
			body: eventText("payment_intent.succeeded", intentText("8801", `"8801"`)), reason: "MALFORMED",
		},
		"no JSON":    {body: "<xml/>", reason: "MALFORMED"},
		"not signed": {body: succeeded, header: http.Header{}, reason: "SIGNATURE_MISSING"},
		"another secret": {
			body: succeeded, header: header([]byte(succeeded), testNow, "whsec_other"), reason: "SIGNATURE_WRONG",
		},
		"another body": {
			body: succeeded + " ", header: header([]byte(succeeded), testNow, testSecret), reason: "SIGNATURE_WRONG",
		},
		"six minutes old": {
			body: succeeded, header: header([]byte(succeeded), testNow.Add(-6*time.Minute), testSecret), reason: "TOO_OLD",
		},
		"six minutes early": {
			body: succeeded, header: header([]byte(succeeded), testNow.Add(6*time.Minute), testSecret), reason: "TOO_OLD",
		},
		"signed without one": {
			body: succeeded, header: http.Header{signatureHeader: {"t=1794362400"}}, reason: "SIGNATURE_WRONG",
		},
		"no header's form": {
			body: succeeded, header: http.Header{signatureHeader: {"nonsense"}}, reason: "SIGNATURE_MISSING",
		},
	}
}

func TestParseNotification(t *testing.T) {
	p := &Provider{webhookSecret: testSecret}
	cases := believedEvents()
	maps.Copy(cases, refusedEvents())
	for name, c := range cases {
		if c.header == nil {
			c.header = header([]byte(c.body), testNow, testSecret)
		}
		got, err := p.ParseNotification(c.header, []byte(c.body), testNow)
		var refused *payment.NotificationError
		switch {
		case c.reason != "":
			if !errors.As(err, &refused) || refused.Reason != c.reason {
				t.Errorf("%s: %v, want %s", name, err, c.reason)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			c.want.Raw = []byte(c.body)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

// Several times in a header: the age must be that of the one that was signed.
func TestSignedAtIsTheLibrarys(t *testing.T) {
	p := &Provider{webhookSecret: testSecret}
	body := []byte(eventText("payment_intent.succeeded", intentText()))
	old := testNow.Add(-time.Hour)
	good := header(body, old, testSecret).Get(signatureHeader)
	_, v1, _ := strings.Cut(good, ",")
	for _, text := range []string{
		fmt.Sprintf("t=%d,t=%d,%s", testNow.Unix(), old.Unix(), v1),
		fmt.Sprintf("t=%d,t=%d,%s", old.Unix(), testNow.Unix(), v1), fmt.Sprintf("%s,t=%d", good, testNow.Unix()),
	} {
		if n, err := p.ParseNotification(http.Header{signatureHeader: {text}}, body, testNow); err == nil {
			t.Errorf("%s was taken: %+v", text, n)
		}
	}
}

func TestAnswer(t *testing.T) {
	for err, want := range map[error]int{
		nil: http.StatusNoContent, payment.ErrUnknownPayment: http.StatusNotFound,
		errors.New("x"):                         http.StatusServiceUnavailable,
		&payment.NotificationError{Reason: "X"}: http.StatusBadRequest,
	} {
		w := httptest.NewRecorder()
		(&Provider{}).Answer(w, err)
		if w.Code != want || w.Body.Len() > 0 {
			t.Errorf("%v: %d %s", err, w.Code, w.Body)
		}
	}
}

// What Stripe says in words may be personal, or the client secret: it must not come out.
func TestOutcomeKeepsCodesOnly(t *testing.T) {
	told := &stripe.Error{
		HTTPStatusCode: 400, Type: stripe.ErrorTypeInvalidRequest, Code: stripe.ErrorCodeChargeAlreadyRefunded,
		Msg: "buyer@example.com", PaymentIntent: &stripe.PaymentIntent{ClientSecret: "pi_1_secret_2"}, RequestID: "req_1",
	}
	err := outcome("refunding", told)
	var refused *payment.RefusedError
	if !errors.As(err, &refused) || refused.Reason != "charge_already_refunded" {
		t.Errorf("%v", err)
	}
	for _, hidden := range []string{"buyer@", "secret"} {
		if strings.Contains(err.Error(), hidden) {
			t.Errorf("the error has %q: %v", hidden, err)
		}
	}
	for name, passing := range map[string]*stripe.Error{
		"a wrong key": {HTTPStatusCode: 401, Type: stripe.ErrorTypeInvalidRequest},
		"too many":    {HTTPStatusCode: 429, Type: stripe.ErrorTypeInvalidRequest, Code: stripe.ErrorCodeRateLimit},
		"another's lock": {
			HTTPStatusCode: 409, Type: stripe.ErrorTypeIdempotency, Code: stripe.ErrorCodeIdempotencyKeyInUse,
		},
		"Stripe's error":  {HTTPStatusCode: 500, Type: stripe.ErrorTypeAPI},
		"another gateway": {HTTPStatusCode: 502},
	} {
		if err := outcome("refunding", passing); errors.As(err, &refused) {
			t.Errorf("%s is final: %v", name, err)
		}
	}
}

// FuzzNotification gives the parser bodies that are signed, since anything else ends at the
// signature.
func FuzzNotification(f *testing.F) {
	f.Add(eventText("payment_intent.succeeded", intentText()), "t=1,v1=00")
	f.Add(eventText("refund.updated", refundText()), "t=9999999999999999999,v1=")
	f.Add(eventText("refund.failed", `{"id":"re_1","metadata":null}`), ",,=")
	p := &Provider{webhookSecret: testSecret}
	f.Fuzz(func(t *testing.T, text, signature string) {
		body := []byte(text)
		if _, err := p.ParseNotification(http.Header{signatureHeader: {signature}}, body, testNow); err == nil {
			t.Fatal("taken without a signature")
		}
		n, err := p.ParseNotification(header(body, testNow, testSecret), body, testNow)
		var refused *payment.NotificationError
		switch {
		case err == nil && n.Ignore:
		case err == nil:
			if n.PaymentID == uuid.Nil || n.TransactionID == "" || (n.Kind == payment.KindRefund) != (n.RefundID != uuid.Nil) {
				t.Fatalf("half a notification: %+v", n)
			}
		case !errors.As(err, &refused):
			t.Fatalf("not refused: %v", err)
		}
	})
}
