package payment_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
)

// told is a notification of ann's payment.
func told(p *paymentv1.Payment, transaction, merchant string, amount int64, currency, status string) string {
	return fmt.Sprintf(`{"transaction_id":%q,"payment_id":%q,"merchant":%q,"amount":%d,"currency":%q,"status":%q}`,
		transaction, p.GetPaymentId(), merchant, amount, currency, status)
}

func TestWhatIsSignedAndNotBelievedIsKeptForStaff(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	p := s.charge(o).GetPayment()
	for reason, body := range map[string]string{
		payment.ReasonMerchantWrong: told(p, "t", "shop/other", unitPrice, "CNY", "SUCCESS"),
		payment.ReasonAmountWrong:   told(p, "t", merchant, unitPrice+1, "CNY", "SUCCESS"),
		payment.ReasonCurrencyWrong: told(p, "t", merchant, unitPrice, "USD", "SUCCESS"),
	} {
		for range 2 {
			if got := s.send(body); got != http.StatusBadRequest {
				t.Errorf("%s: answered %d", reason, got)
			}
		}
		if n := s.count("refused_notifications", "reason = $1 AND raw = $2", reason, []byte(body)); n != 1 {
			t.Errorf("%s is kept %d times", reason, n)
		}
	}
	// Anybody may send what is not signed, as much as they like.
	unsigned := strings.NewReader(told(p, "t", "shop/other", 1, "CNY", "SUCCESS"))
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", unsigned)
	r.SetPathValue("provider", sandbox.Name)
	r.Header.Set(sandbox.SignatureHeader, "t=1,v1="+strings.Repeat("00", 32))
	payment.NotificationHandler(s.service).ServeHTTP(httptest.NewRecorder(), r)
	if n := s.count("refused_notifications", "true"); n != 3 {
		t.Errorf("%d are kept, want 3", n)
	}
	s.wantOrder(o, unpaid)
	if n := s.count("payment_notifications", "true"); n != 0 {
		t.Errorf("%d were taken", n)
	}
}

// Some providers have one transaction id for all that happens to a payment.
func TestASuccessAfterAFailureOfTheSameTransaction(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	p := s.charge(o).GetPayment()
	for range 2 {
		if got := s.send(told(p, "t", merchant, unitPrice, "CNY", "FAILED")); got != http.StatusNoContent {
			t.Fatalf("the failure: %d", got)
		}
	}
	s.wantPayment(p, paymentv1.PaymentState_PAYMENT_STATE_FAILED)
	for range 2 {
		if got := s.send(told(p, "t", merchant, unitPrice, "CNY", "SUCCESS")); got != http.StatusNoContent {
			t.Fatalf("the success: %d", got)
		}
	}
	// What comes late of the failure changes nothing.
	if got := s.send(told(p, "t2", merchant, unitPrice, "CNY", "FAILED")); got != http.StatusNoContent {
		t.Fatalf("a late failure: %d", got)
	}
	s.wantPayment(p, stateSucceeded)
	s.wantOrder(o, paid)
	if n := s.count("refunds", "true"); n != 0 {
		t.Errorf("%d refunds", n)
	}
}

// Page tokens come from outside: whatever they are, the answer is a page or INVALID_PAGE_TOKEN.
func FuzzPageTokens(f *testing.F) {
	s := newShop(f)
	f.Add("")
	f.Add("nonsense")
	for _, json := range []string{
		`{}`, `[]`, `["-1"]`, `["\u0000","\u0000"]`, `["a","b"]`, `["2026-03-04T12:00:00Z"]`,
		`["9999-12-31T23:59:59Z","00000000-0000-4000-8000-000000000001"]`, `["2026-03-04T12:00:00Z","a","Yg=="]`,
		`{"t":"2026-03-04T12:00:00Z","i":"a","m":"b"}`,
	} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(json)))
	}
	ctx := context.Background()
	f.Fuzz(func(t *testing.T, token string) {
		_, err := s.service.ListRefunds(ctx, &paymentv1.ListRefundsRequest{State: requested, PageToken: token})
		wantPage(t, err)
		_, err = s.service.ListReconciliations(ctx, &paymentv1.ListReconciliationsRequest{
			Provider: sandbox.Name, PageToken: token,
		})
		wantPage(t, err)
		_, err = s.service.ListDifferences(ctx, &paymentv1.ListDifferencesRequest{
			Provider: sandbox.Name, Day: day, PageToken: token,
		})
		wantPage(t, err)
		_, err = s.service.ListRefusedNotifications(ctx, &paymentv1.ListRefusedNotificationsRequest{PageToken: token})
		wantPage(t, err)
	})
}

func wantPage(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		wantError(t, err, connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN")
	}
}
