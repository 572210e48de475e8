package sandbox

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// ledger is a sandbox on a database, and its page, whose notifications are always taken.
func ledger(t *testing.T) (*Sandbox, http.Handler) {
	t.Helper()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	taken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(taken.Close)
	s, err := New(Options{
		Key: []byte(testKey), Merchant: "m", PublicURL: "http://shop", NotifyURL: taken.URL, Pool: testdb.NewPool(t),
		Clock: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, s.Pages()[PagePath]
}

func newCharge(s *Sandbox, amount int64) payment.Charge {
	return payment.Charge{PaymentID: uuid.New(), Amount: amount, Currency: "CNY", ExpiresAt: s.now().Add(time.Minute)}
}

// pay posts to the charge's page and returns the status.
func pay(t *testing.T, s *Sandbox, page http.Handler, c payment.Charge) int {
	t.Helper()
	session, err := s.Create(context.Background(), c)
	if err != nil {
		t.Error(err)
		return 0
	}
	u, err := url.Parse(session.RedirectURL)
	if err != nil {
		t.Error(err)
		return 0
	}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodPost, u.RequestURI(), nil))
	return w.Code
}

func wantState(t *testing.T, s *Sandbox, c payment.Charge, want payment.StatusState) {
	t.Helper()
	got, err := s.Query(context.Background(), c)
	if err != nil || got.State != want {
		t.Fatalf("%s, %v; want %s", got.State, err, want)
	}
}

func TestWhatBecomesOfAPayment(t *testing.T) {
	s, page := ledger(t)
	ctx := context.Background()
	c := newCharge(s, 100)
	wantState(t, s, c, payment.StatusPending)
	for range 2 {
		if code := pay(t, s, page, c); code != http.StatusOK {
			t.Fatalf("paying: %d", code)
		}
	}
	got, err := s.Query(ctx, c)
	want := payment.Status{
		State: payment.StatusSucceeded, TransactionID: "sandbox-" + c.PaymentID.String(), Amount: 100, Currency: "CNY",
		PaidAt: s.now(),
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := s.Close(ctx, c); !errors.Is(err, payment.ErrPaid) {
		t.Errorf("closing what was paid: %v", err)
	}
	closed := newCharge(s, 100)
	for range 2 {
		if err := s.Close(ctx, closed); err != nil {
			t.Fatal(err)
		}
	}
	wantState(t, s, closed, payment.StatusClosed)
	if code := pay(t, s, page, closed); code != http.StatusGone {
		t.Errorf("paying what was closed: %d", code)
	}
	late := newCharge(s, 100)
	late.ExpiresAt = s.now()
	wantState(t, s, late, payment.StatusClosed)
}

// Of a buyer who pays and a shop that closes at the same moment one comes first, and both know who.
func TestPayingAndClosingAtOnce(t *testing.T) {
	s, page := ledger(t)
	for range 30 {
		c := newCharge(s, 100)
		var code int
		var closed error
		var wg sync.WaitGroup
		wg.Go(func() { code = pay(t, s, page, c) })
		wg.Go(func() { closed = s.Close(context.Background(), c) })
		wg.Wait()
		if (code == http.StatusOK) != errors.Is(closed, payment.ErrPaid) || (code == http.StatusGone) != (closed == nil) {
			t.Fatalf("paying: %d; closing: %v", code, closed)
		}
	}
}

func TestRefunds(t *testing.T) {
	s, page := ledger(t)
	ctx := context.Background()
	c := newCharge(s, 100)
	pay(t, s, page, c)
	order := func(amount int64) payment.RefundOrder {
		return payment.RefundOrder{
			RefundID: uuid.New(), PaymentID: c.PaymentID, TransactionID: transactionID(c.PaymentID), Amount: amount,
			Total: 100, Currency: "CNY",
		}
	}
	first := order(60)
	if got, err := s.QueryRefund(ctx, first); err != nil || got.State != payment.RefundNotFound {
		t.Errorf("before it: %v, %v", got, err)
	}
	for range 2 {
		if got, err := s.Refund(ctx, first); err != nil || got.State != payment.RefundSucceeded {
			t.Fatalf("%v, %v", got, err)
		}
	}
	got, err := s.QueryRefund(ctx, first)
	if err != nil || got.State != payment.RefundSucceeded || got.ProviderRefundID == "" {
		t.Errorf("after it: %v, %v", got, err)
	}
	reused, alien, yen, unpaid := first, order(1), order(1), order(1)
	reused.Amount, alien.TransactionID, yen.Currency, unpaid.PaymentID = 1, "another", "JPY", uuid.New()
	for reason, wrong := range map[string][]payment.RefundOrder{
		"REFUND_ID_REUSED": {reused}, "TRANSACTION_NOT_FOUND": {alien, unpaid},
		"AMOUNT_NOT_LEFT": {order(41), order(0), order(-1), yen},
	} {
		for _, r := range wrong {
			var refused *payment.RefusedError
			if _, err := s.Refund(ctx, r); !errors.As(err, &refused) || refused.Reason != reason {
				t.Errorf("%+v: %v, want %s", r, err, reason)
			}
		}
	}
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := s.Refund(ctx, order(10)); err == nil {
				taken.Add(1)
			}
		})
	}
	wg.Wait()
	if taken.Load() != 4 {
		t.Errorf("%d of ten refunds were taken, want 4", taken.Load())
	}
}

func TestStatement(t *testing.T) {
	s, page := ledger(t)
	ctx := context.Background()
	day := s.now().Truncate(24 * time.Hour)
	const payments = statementPage + 20
	if _, err := s.pool.Exec(ctx, `INSERT INTO sandbox_transactions
		SELECT md5(i::text)::uuid, $1::uuid, 'PAID', i::text, 5, 'CNY', $2::timestamptz
		FROM generate_series(1, $3::bigint) AS g (i)`, uuid.Nil, day, payments); err != nil {
		t.Fatal(err)
	}
	c := newCharge(s, 100)
	pay(t, s, page, c)
	if _, err := s.Refund(ctx, payment.RefundOrder{
		RefundID: uuid.New(), PaymentID: c.PaymentID, TransactionID: transactionID(c.PaymentID), Amount: 30,
		Currency: "CNY",
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(ctx, newCharge(s, 7)); err != nil {
		t.Fatal(err)
	}
	read := func(day time.Time) (rows int, sum int64) {
		t.Helper()
		err := s.Statement(ctx, day, func(r payment.StatementRow) error {
			rows++
			if r.Kind == payment.KindRefund {
				sum -= r.Amount
			} else {
				sum += r.Amount
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return rows, sum
	}
	if rows, sum := read(day); rows != payments+2 || sum != 5*payments+70 {
		t.Errorf("%d rows, %d in all", rows, sum)
	}
	for _, other := range []time.Time{day.AddDate(0, 0, -1), day.AddDate(0, 0, 1)} {
		if rows, _ := read(other); rows != 0 {
			t.Errorf("%d rows on another day", rows)
		}
	}
	stop := errors.New("enough")
	if err := s.Statement(ctx, day, func(payment.StatementRow) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped with %v", err)
	}
}
