package payment_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

const (
	requested = paymentv1.RefundState_REFUND_STATE_REQUESTED
	pending   = paymentv1.RefundState_REFUND_STATE_PENDING
	refunded  = paymentv1.RefundState_REFUND_STATE_SUCCEEDED
	failed    = paymentv1.RefundState_REFUND_STATE_FAILED
)

// cancelled is an order that was paid and cancelled: its refund is due.
func (s *shop) cancelled(buyer string, quantity int64) *orderv1.Order {
	s.tb.Helper()
	o, _ := s.bought(buyer, quantity)
	s.cancel(o)
	return o
}

func (s *shop) onlyRefund(o *orderv1.Order, want paymentv1.RefundState) *paymentv1.Refund {
	s.tb.Helper()
	found := s.refundsOf(o)
	if len(found) != 1 || found[0].GetState() != want {
		s.tb.Fatalf("refunds %v, want one that is %s", found, want)
	}
	return found[0]
}

func TestARefundThatAnOrderGrants(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.cancelled("ann", 2)
	r := s.onlyRefund(o, requested)
	if r.GetAmount().GetAmount() != 2*unitPrice || r.GetAmount().GetCurrency() != "CNY" {
		t.Fatalf("the refund is of %v", r.GetAmount())
	}
	for range 2 {
		s.refund()
		s.onlyRefund(o, refunded)
	}
	if n := s.count("sandbox_transactions", "state = 'REFUNDED' AND amount = $1", 2*unitPrice); n != 1 {
		t.Errorf("the sandbox has paid back %d times", n)
	}
	if n := s.count("order_lines", "order_id = $1 AND refunded = $2", o.GetOrderId(), 2*unitPrice); n != 1 {
		t.Error("the order does not know of its refund")
	}
	if n := s.count("outbox", "order_id = $1 AND event = 'refunded'", o.GetOrderId()); n != 1 {
		t.Errorf("%d events tell of it", n)
	}
	if n := s.count("refund_history", "refund_id = $1", r.GetRefundId()); n != 2 {
		t.Errorf("its history has %d rows", n)
	}
	ctx := context.Background()
	if _, err := s.service.GetRefund(
		ctx, &paymentv1.GetRefundRequest{BuyerId: "ann", RefundId: r.GetRefundId()},
	); err != nil {
		t.Error(err)
	}
	_, err := s.service.GetRefund(ctx, &paymentv1.GetRefundRequest{BuyerId: "bob", RefundId: r.GetRefundId()})
	wantError(t, err, connect.CodeNotFound, "REFUND_NOT_FOUND")
	others, err := s.service.ListOrderRefunds(ctx, &paymentv1.ListOrderRefundsRequest{
		BuyerId: "bob", OrderId: o.GetOrderId(),
	})
	if err != nil || len(others.GetRefunds()) != 0 {
		t.Errorf("another buyer sees %v, %v", others, err)
	}
}

func wantError(t testing.TB, err error, code connect.Code, reason string) {
	t.Helper()
	if connect.CodeOf(err) != code || rpcerr.Reason(err) != reason {
		t.Errorf("%v; want %s/%s", err, code, reason)
	}
}

func TestTheSecondPaymentOfAnOrderGoesBack(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	first, second := s.charge(o), s.charge(o)
	for _, c := range []*paymentv1.CreatePaymentResponse{first, second} {
		if status := s.pay(c.GetRedirectUrl()); status != 200 {
			t.Fatalf("paying: %d", status)
		}
	}
	s.refund()
	r := s.onlyRefund(o, refunded)
	if r.GetPaymentId() != second.GetPayment().GetPaymentId() || r.GetReason() != string(order.AlreadyPaid) {
		t.Errorf("refunded is %v", r)
	}
	if state := s.order(o).GetState(); state != orderv1.OrderState_ORDER_STATE_PAID {
		t.Errorf("the order is %s", state)
	}
	if n := s.count(
		"sandbox_transactions", "state = 'REFUNDED' AND payment_id = $1", second.GetPayment().GetPaymentId(),
	); n != 1 {
		t.Error("the sandbox has not paid the second back")
	}
}

func TestALatePayment(t *testing.T) {
	for name, taken := range map[string]bool{"with stock": false, "without stock": true} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.sell(2)
			o := s.place("ann", 2)
			c := s.charge(o)
			// Closing does not reach the provider, so that the buyer can still pay.
			s.cancel(o)
			if taken {
				s.place("bob", 1)
			}
			if status := s.pay(c.GetRedirectUrl()); status != 200 {
				t.Fatalf("paying: %d", status)
			}
			s.refund()
			state := s.order(o).GetState()
			if !taken {
				if n := len(s.refundsOf(o)); n != 0 || state != orderv1.OrderState_ORDER_STATE_PAID {
					t.Errorf("%d refunds, the order is %s", n, state)
				}
				return
			}
			s.onlyRefund(o, refunded)
			if state != orderv1.OrderState_ORDER_STATE_CANCELLED {
				t.Errorf("the order is %s", state)
			}
		})
	}
}

// Refunds are asked for outside of any order's lock here, which no code of orderd does: the table
// alone has to keep their sum.
func TestRefundsNeverExceedThePayment(t *testing.T) {
	s := newShop(t)
	s.sell(1000)
	refunder := payment.NewRefunds(payment.RefundsOptions{Random: rand.Reader})
	rapid.Check(t, func(t *rapid.T) {
		s.tb = t
		o, p := s.bought("ann", 4)
		total := int64(4 * unitPrice)
		amounts := rapid.SliceOfN(rapid.Int64Range(1, total), 10, 10).Draw(t, "amounts")
		var granted atomic.Int64
		var exceeded atomic.Int64
		var wg sync.WaitGroup
		for i, amount := range amounts {
			wg.Go(func() {
				err := s.wish(refunder, o, p, fmt.Sprintf("key%d", i), amount)
				switch {
				case err == nil:
					granted.Add(amount)
				case errors.Is(err, order.ErrRefundExceeds):
					exceeded.Add(1)
				default:
					t.Errorf("refund of %d: %v", amount, err)
				}
			})
		}
		wg.Wait()
		var stored int64
		s.must(s.pool.QueryRow(
			context.Background(), "SELECT coalesce(sum(amount), 0)::bigint FROM refunds WHERE payment_id = $1",
			p.GetPaymentId(),
		).Scan(&stored))
		if stored != granted.Load() || stored > total {
			t.Fatalf("%d of %d are refunded, %d were granted", stored, total, granted.Load())
		}
		// What was refused was too much for what is left, or for what was left then.
		if slices.Min(amounts) <= total-stored && exceeded.Load() == 10 {
			t.Fatal("nothing was granted")
		}
		// The same again changes nothing.
		for i, amount := range amounts {
			if err := s.wish(
				refunder, o, p, fmt.Sprintf("key%d", i), amount,
			); err != nil && !errors.Is(err, order.ErrRefundExceeds) {
				t.Fatal(err)
			}
		}
	})
}

func (s *shop) wish(refunder *payment.Refunds, o *orderv1.Order, p *paymentv1.Payment, key string, amount int64) error {
	ctx := context.Background()
	return database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		return refunder.InsertRefund(ctx, tx, order.RefundWish{
			Key: key, OrderID: uuid.MustParse(o.GetOrderId()), PaymentID: uuid.MustParse(p.GetPaymentId()), Amount: amount,
			Currency: "CNY", Reason: "test", At: s.clock.now(),
		})
	})
}

func TestARefundWithoutAnAnswerIsTheSameWhenItIsAskedForAgain(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.cancelled("ann", 1)
	s.faults.set(nil, fail("refund", errLost))
	s.refund()
	s.onlyRefund(o, requested)
	s.faults.set(fail("refund", errLost), nil)
	s.clock.advance(time.Minute)
	s.refund()
	s.faults.set(nil, nil)
	s.refund()
	s.onlyRefund(o, requested) // its time has not come
	s.clock.advance(time.Minute)
	s.refund()
	s.onlyRefund(o, refunded)
	if n := s.count("sandbox_transactions", "state = 'REFUNDED'"); n != 1 {
		t.Errorf("the sandbox has paid back %d times", n)
	}
	if asked := slices.Compact(s.faults.asked); len(asked) != 1 || s.faults.count("refund") != 3 {
		t.Errorf("asked as %v, %d times", asked, s.faults.count("refund"))
	}
}

func TestARefundThatTheProviderTakesItsTimeFor(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.cancelled("ann", 1)
	s.faults.refunded = func(payment.RefundStatus) payment.RefundStatus {
		return payment.RefundStatus{State: payment.RefundPending, ProviderRefundID: "theirs"}
	}
	s.refund()
	r := s.onlyRefund(o, pending)
	for range 3 {
		s.clock.advance(time.Hour)
		s.refund()
		s.onlyRefund(o, pending)
	}
	if s.faults.count("refund") != 1 || s.faults.count("query refund") != 3 {
		t.Errorf("calls: %v", s.faults.calls)
	}
	// One that the provider has forgotten is asked for again.
	s.faults.refunded = nil
	_, err := s.pool.Exec(context.Background(), "DELETE FROM sandbox_transactions WHERE state = 'REFUNDED'")
	s.must(err)
	s.clock.advance(time.Hour)
	s.refund()
	s.onlyRefund(o, refunded)
	if asked := slices.Compact(s.faults.asked); len(asked) != 1 || asked[0].String() != r.GetRefundId() {
		t.Errorf("asked as %v, want %s", asked, r.GetRefundId())
	}
}

func TestANotificationEndsARefund(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.cancelled("ann", 1)
	s.faults.refunded = func(payment.RefundStatus) payment.RefundStatus {
		return payment.RefundStatus{State: payment.RefundPending}
	}
	s.refund()
	r := s.onlyRefund(o, pending)
	body := func(id string, amount int, currency, status string) string {
		return fmt.Sprintf(
			`{"transaction_id":"theirs","payment_id":%q,"refund_id":%q,"merchant":%q,"amount":%d,"currency":%q,"status":%q}`,
			r.GetPaymentId(), id, merchant, amount, currency, status,
		)
	}
	for _, tt := range []struct {
		body string
		want int
	}{
		{body("00000000-0000-4000-8000-000000000001", unitPrice, "CNY", "SUCCESS"), 404},
		{body(r.GetRefundId(), unitPrice-1, "CNY", "SUCCESS"), 400},
		{body(r.GetRefundId(), unitPrice, "JPY", "SUCCESS"), 400},
		{body(r.GetRefundId(), unitPrice, "CNY", "SUCCESS"), 204},
		{body(r.GetRefundId(), unitPrice, "CNY", "SUCCESS"), 204},
		{body(r.GetRefundId(), unitPrice, "CNY", "FAILED"), 204},
	} {
		if got := s.send(tt.body); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.body, got, tt.want)
		}
	}
	s.onlyRefund(o, refunded)
	if n := s.count("outbox", "event = 'refunded'"); n != 1 {
		t.Errorf("%d events tell of it", n)
	}
	if n := s.count("refused_notifications", "reason = 'REFUND_FAILED_AFTER_SUCCESS'"); n != 1 {
		t.Error("staff is not told of the money that came back")
	}
	s.exec("DELETE FROM refused_notifications WHERE reason = 'REFUND_FAILED_AFTER_SUCCESS'")
	kept, err := s.service.ListRefusedNotifications(
		context.Background(), &paymentv1.ListRefusedNotificationsRequest{PageSize: 1},
	)
	if err != nil || len(kept.GetNotifications()) != 1 || kept.GetNextPageToken() == "" {
		t.Fatalf("kept: %v, %v", kept, err)
	}
	more, err := s.service.ListRefusedNotifications(context.Background(), &paymentv1.ListRefusedNotificationsRequest{
		PageToken: kept.GetNextPageToken(),
	})
	if err != nil || len(more.GetNotifications()) != 1 || more.GetNextPageToken() != "" {
		t.Fatalf("kept besides: %v, %v", more, err)
	}
	reasons := []string{kept.GetNotifications()[0].GetReason(), more.GetNotifications()[0].GetReason()}
	slices.Sort(reasons)
	if !slices.Equal(reasons, []string{payment.ReasonAmountWrong, payment.ReasonCurrencyWrong}) {
		t.Errorf("kept for %v", reasons)
	}
}

func TestANotificationOfAFailureCountsOnce(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.cancelled("ann", 1)
	s.faults.refunded = func(payment.RefundStatus) payment.RefundStatus {
		return payment.RefundStatus{State: payment.RefundPending}
	}
	s.refund()
	r := s.onlyRefund(o, pending)
	for range 3 {
		body := fmt.Sprintf(`{"transaction_id":"theirs","payment_id":%q,"refund_id":%q,"merchant":%q,"amount":%d,`+
			`"currency":"CNY","status":"FAILED"}`, r.GetPaymentId(), r.GetRefundId(), merchant, unitPrice)
		if got := s.send(body); got != 204 {
			t.Fatalf("answered %d", got)
		}
	}
	s.onlyRefund(o, failed)
	if n := s.count("refunds", "failures = 1 AND failure_final"); n != 1 {
		t.Error("the failure was counted more than once")
	}
	if n := s.count("refused_notifications", "true"); n != 0 {
		t.Error("staff is told of a failure as if it had been a success before")
	}
}
