package payment_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
)

const day = "2026-03-04"

// reconcile reads what is due the next afternoon, and returns what differs on the day of the tests
// as kind and subject.
func (s *shop) reconcile() []string {
	s.tb.Helper()
	for s.clock.now().Before(noon().Add(26 * time.Hour)) {
		s.clock.advance(time.Hour)
	}
	s.must(s.days.Round(context.Background()))
	return s.differences()
}

func (s *shop) differences() []string {
	s.tb.Helper()
	var out []string
	req := &paymentv1.ListDifferencesRequest{Provider: sandbox.Name, Day: day, PageSize: 2}
	for {
		page, err := s.service.ListDifferences(context.Background(), req)
		s.must(err)
		for _, d := range page.GetDifferences() {
			kind, subject := d.GetKind().String(), d.GetSubject().String()
			out = append(out, kind[len("DIFFERENCE_KIND_"):]+" "+subject[len("DIFFERENCE_SUBJECT_"):])
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			slices.Sort(out)
			return out
		}
	}
}

// exec changes what the sandbox or we know.
func (s *shop) exec(sql string, args ...any) {
	s.tb.Helper()
	_, err := s.pool.Exec(context.Background(), sql, args...)
	s.must(err)
}

func TestADayWithoutDifferences(t *testing.T) {
	s := newShop(t)
	s.sell(50)
	for i := range 4 {
		s.bought(fmt.Sprintf("b%d", i), 1)
	}
	s.cancelled("ann", 2)
	// The buyer pays twice; both payments and the refund are in the statement.
	o := s.place("bob", 1)
	first, second := s.charge(o), s.charge(o)
	s.pay(first.GetRedirectUrl())
	s.pay(second.GetRedirectUrl())
	s.refund()
	if diff := cmp.Diff([]string(nil), s.reconcile()); diff != "" {
		t.Error(diff)
	}
	listed, err := s.service.ListReconciliations(context.Background(), &paymentv1.ListReconciliationsRequest{
		Provider: sandbox.Name,
	})
	s.must(err)
	if got := listed.GetReconciliations(); len(got) != 1 || got[0].GetDay() != day || got[0].GetRows() != 9 ||
		got[0].GetState() != paymentv1.ReconciliationState_RECONCILIATION_STATE_DONE {
		t.Errorf("listed %v", got)
	}
	reads := s.faults.count("statement")
	s.must(s.days.Round(context.Background()))
	if s.faults.count("statement") != reads {
		t.Error("the day was read again")
	}
}

// spoiled are days on which something is wrong, and the differences that are found.
func spoiled() []spoiledDay {
	return []spoiledDay{
		{"a payment that we do not know", func(s *shop) {
			s.exec("INSERT INTO sandbox_transactions VALUES ($1, $2, 'PAID', 'alien', 7, 'CNY', $3)",
				uuid.New(), uuid.Nil, s.clock.now())
		}, []string{"MISSING_HERE PAYMENT"}},
		{"a refund that we do not know", func(s *shop) {
			s.exec("INSERT INTO sandbox_transactions VALUES ($1, $2, 'REFUNDED', 'alien', 7, 'CNY', $3)",
				uuid.New(), uuid.New(), s.clock.now())
		}, []string{"MISSING_HERE REFUND"}},
		{
			"a payment that the provider does not know",
			func(s *shop) { s.exec("DELETE FROM sandbox_transactions WHERE state = 'PAID'") },
			[]string{"MISSING_THERE PAYMENT"},
		},
		{
			"a refund that the provider does not know",
			func(s *shop) { s.exec("DELETE FROM sandbox_transactions WHERE state = 'REFUNDED'") },
			[]string{"MISSING_THERE REFUND"},
		},
		{
			"another amount",
			func(s *shop) { s.exec("UPDATE sandbox_transactions SET amount = amount + 1 WHERE state = 'PAID'") },
			[]string{"AMOUNT_DIFFERS PAYMENT"},
		},
		{
			"another currency", func(s *shop) { s.exec("UPDATE sandbox_transactions SET currency = 'JPY'") },
			[]string{"CURRENCY_DIFFERS PAYMENT", "CURRENCY_DIFFERS REFUND"},
		},
		{
			"another amount of a refund",
			func(s *shop) { s.exec("UPDATE sandbox_transactions SET amount = 1 WHERE state = 'REFUNDED'") },
			[]string{"AMOUNT_DIFFERS REFUND"},
		},
		{"another transaction", func(s *shop) {
			s.exec("UPDATE sandbox_transactions SET transaction_id = 'other' WHERE state = 'PAID'")
		}, []string{"TRANSACTION_DIFFERS PAYMENT"}},
		{"a payment that did not succeed here", func(s *shop) {
			s.lost.Store(true)
			s.pay(s.charge(s.place("bob", 1)).GetRedirectUrl())
		}, []string{"STATE_DIFFERS PAYMENT"}},
		{"a refund that did not succeed here", func(s *shop) {
			s.cancelled("bob", 1)
			s.faults.set(nil, fail("refund", errLost))
			s.refund()
		}, []string{"STATE_DIFFERS REFUND"}},
	}
}

type spoiledDay struct {
	name  string
	spoil func(s *shop)
	want  []string
}

func TestEveryKindOfDifferenceIsFoundOnce(t *testing.T) {
	for _, tt := range spoiled() {
		t.Run(tt.name, func(t *testing.T) {
			s := newShop(t)
			s.sell(50)
			s.cancelled("ann", 1)
			s.refund()
			tt.spoil(s)
			if diff := cmp.Diff(tt.want, s.reconcile()); diff != "" {
				t.Fatal(diff)
			}
			s.faults.set(nil, nil)
			stored := s.count("reconciliation_differences", "true")
			_, err := s.service.RunReconciliation(context.Background(), &paymentv1.RunReconciliationRequest{
				RequestId: "again", Provider: sandbox.Name, Day: day,
			})
			s.must(err)
			s.must(s.days.Round(context.Background()))
			if n := s.count("reconciliation_differences", "true"); n != stored {
				t.Errorf("%d differences after reading the day again, %d before", n, stored)
			}
			if s.faults.count("statement") != 2 {
				t.Errorf("the statement was read %d times", s.faults.count("statement"))
			}
		})
	}
}

// The money of a payment that was closed here is found by the statement, and then by the poller.
func TestTheStatementHasThePaymentAskedAbout(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	c := s.charge(o)
	s.lost.Store(true)
	s.pay(c.GetRedirectUrl())
	s.exec("UPDATE payments SET state = 'CLOSED', next_query_at = NULL")
	if diff := cmp.Diff([]string{"STATE_DIFFERS PAYMENT"}, s.reconcile()); diff != "" {
		t.Fatal(diff)
	}
	s.poll()
	s.wantPayment(c.GetPayment(), stateSucceeded)
	s.wantOrder(o, paid)
	// It succeeded here on the day after, whose statement need not have it.
	s.clock.advance(24 * time.Hour)
	s.must(s.days.Round(context.Background()))
	if n := s.count("reconciliation_differences", "true"); n != 1 {
		t.Errorf("%d differences on both days, want one", n)
	}
}

// A refund that failed here and was paid there must not be paid again by schedule.
func TestTheStatementStopsARefundThatFailedHere(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.cancelled("ann", 1)
	s.faults.refunded = func(payment.RefundStatus) payment.RefundStatus {
		return payment.RefundStatus{State: payment.RefundFailed, Reason: "WRONG"}
	}
	s.refund()
	s.onlyRefund(o, failed)
	s.reconcile()
	s.clock.advance(100 * time.Hour)
	s.refund()
	s.onlyRefund(o, failed)
	if n := s.faults.count("refund"); n != 1 {
		t.Errorf("asked for %d times", n)
	}
}

// WeChat Pay's bill has a refund on the day it was asked for, whenever the bank has paid it.
func TestARefundThatTheBankTakesDaysFor(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.cancelled("ann", 1)
	s.faults.refunded = func(payment.RefundStatus) payment.RefundStatus {
		return payment.RefundStatus{State: payment.RefundPending, Reason: "ABNORMAL"}
	}
	s.refund()
	if got := s.reconcile(); len(got) != 0 {
		t.Errorf("differences: %v", got)
	}
	seen, err := s.service.ListRefunds(context.Background(), &paymentv1.ListRefundsRequest{State: pending})
	if err != nil || len(seen.GetRefunds()) != 1 || seen.GetRefunds()[0].GetFailure() != "ABNORMAL" {
		t.Errorf("staff sees %v, %v", seen, err)
	}
	s.faults.refunded = nil
	s.clock.advance(48 * time.Hour)
	s.refund()
	s.onlyRefund(o, refunded)
	s.clock.advance(48 * time.Hour)
	s.must(s.days.Round(context.Background()))
	if n := s.count("reconciliation_differences", "true"); n != 0 {
		t.Errorf("%d differences", n)
	}
}

func TestAPaymentOfTheNightIsInTheNextStatement(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	s.clock.advance(11*time.Hour + 30*time.Minute)
	s.bought("ann", 1)
	// By the provider's clock it was a moment after midnight.
	s.exec("UPDATE sandbox_transactions SET at = at + INTERVAL '1 hour'")
	if got := s.reconcile(); len(got) != 0 {
		t.Errorf("differences on the day: %v", got)
	}
	s.clock.advance(24 * time.Hour)
	s.must(s.days.Round(context.Background()))
	if n := s.count("reconciliation_differences", "true"); n != 0 {
		t.Errorf("%d differences on the day after", n)
	}
}

func TestAStatementThatCannotBeReadYet(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	s.bought("ann", 1)
	s.faults.set(fail("statement", payment.ErrStatementNotReady), nil)
	s.clock.advance(26 * time.Hour)
	if err := s.days.Round(context.Background()); !errors.Is(err, payment.ErrStatementNotReady) {
		t.Fatal(err)
	}
	listed, err := s.service.ListReconciliations(context.Background(), &paymentv1.ListReconciliationsRequest{
		Provider: sandbox.Name,
	})
	s.must(err)
	if got := listed.GetReconciliations(); len(got) != 1 || got[0].GetFailure() != "STATEMENT_NOT_READY" ||
		got[0].GetState() != paymentv1.ReconciliationState_RECONCILIATION_STATE_REQUESTED {
		t.Errorf("listed %v", got)
	}
	s.faults.set(nil, nil)
	s.must(s.days.Round(context.Background()))
	if s.faults.count("statement") != 1 {
		t.Error("it was asked for again at once")
	}
	s.clock.advance(time.Hour)
	s.must(s.days.Round(context.Background()))
	if n := s.count("reconciliations", "state = 'DONE' AND rows_read = 1 AND failure = ''"); n != 1 {
		t.Errorf("%d days are done", n)
	}
}

func TestDaysThatWereMissedAreMadeUpFor(t *testing.T) {
	s := newShop(t)
	s.reconcile()
	s.clock.advance(4 * 24 * time.Hour)
	s.must(s.days.Round(context.Background()))
	if n := s.count("reconciliations", "state = 'DONE'"); n != 5 {
		t.Errorf("%d days are done, want 5", n)
	}
	s.clock.advance(100 * 24 * time.Hour)
	s.must(s.days.Round(context.Background()))
	if n := s.count("reconciliations", "state = 'DONE'"); n != 12 {
		t.Errorf("%d days are done, want 12: no more than a week is made up for", n)
	}
	page, err := s.service.ListReconciliations(context.Background(), &paymentv1.ListReconciliationsRequest{
		Provider: sandbox.Name, PageSize: 10,
	})
	s.must(err)
	rest, err := s.service.ListReconciliations(context.Background(), &paymentv1.ListReconciliationsRequest{
		Provider: sandbox.Name, PageSize: 10, PageToken: page.GetNextPageToken(),
	})
	s.must(err)
	if len(page.GetReconciliations()) != 10 || len(rest.GetReconciliations()) != 2 || rest.GetNextPageToken() != "" {
		t.Errorf("pages of %d and %d", len(page.GetReconciliations()), len(rest.GetReconciliations()))
	}
	if last := rest.GetReconciliations()[1].GetDay(); last != day {
		t.Errorf("the last is %s", last)
	}
}

func TestRunReconciliationRefuses(t *testing.T) {
	s := newShop(t)
	for _, tt := range []struct {
		provider, day string
		code          connect.Code
		reason        string
	}{
		{"barter", day, connect.CodeInvalidArgument, "PROVIDER_UNKNOWN"},
		{sandbox.Name, "2026-02-30", connect.CodeInvalidArgument, "INVALID_REQUEST"},
		{sandbox.Name, day, connect.CodeFailedPrecondition, "DAY_NOT_OVER"},
	} {
		_, err := s.service.RunReconciliation(context.Background(), &paymentv1.RunReconciliationRequest{
			RequestId: tt.reason, Provider: tt.provider, Day: tt.day,
		})
		wantError(t, err, tt.code, tt.reason)
	}
}

// A statement of several pages, of ours and theirs, read by two workers at once.
func TestALongStatement(t *testing.T) {
	s := newShop(t)
	const rows = 1300
	at := s.clock.now()
	s.exec(`INSERT INTO payments (payment_id, order_id, buyer_id, provider, method, reference, state, version, amount,
			currency, redirect_url, transaction_id, created_at, expires_at, succeeded_at, bucket)
		SELECT md5(i::text)::uuid, md5(i::text)::uuid, 'ann', 'sandbox', '', '', 'SUCCEEDED', 3, 5,
			'CNY', '', 't' || i::text, $1::timestamptz, $1::timestamptz, $1::timestamptz, i % 16
		FROM generate_series(1, $2::bigint) AS g (i)`, at, rows)
	s.exec(`INSERT INTO sandbox_transactions
		SELECT payment_id, $1::uuid, 'PAID', transaction_id, amount, currency, $2::timestamptz
		FROM payments WHERE transaction_id <> 't7'`, uuid.Nil, at)
	s.exec("UPDATE sandbox_transactions SET amount = 6 WHERE transaction_id = 't1200'")
	s.clock.advance(26 * time.Hour)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := s.days.Round(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff([]string{"AMOUNT_DIFFERS PAYMENT", "MISSING_THERE PAYMENT"}, s.differences()); diff != "" {
		t.Error(diff)
	}
	if n := s.count("payments", "statement_day = $1", day); n != rows-1 {
		t.Errorf("%d payments are in the statement", n)
	}
}
