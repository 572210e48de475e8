package payment_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

// lose puts a payment's row back to what it was before its success, as a database was seen to do. Its
// history, its notification and its order stay.
func (s *shop) lose(p *paymentv1.Payment) {
	s.tb.Helper()
	s.exec(`UPDATE payments
		SET state = 'PENDING', version = 2, transaction_id = '', succeeded_at = NULL, next_query_at = $2
		WHERE payment_id = $1`, p.GetPaymentId(), s.clock.now())
}

// stored is what a payment's row says of its success.
type stored struct {
	State, Transaction string
	Version            int64
	SucceededAt, Next  *time.Time
}

func (s *shop) stored(p *paymentv1.Payment) stored {
	s.tb.Helper()
	var out stored
	s.must(s.pool.QueryRow(context.Background(),
		"SELECT state, transaction_id, version, succeeded_at, next_query_at FROM payments WHERE payment_id = $1",
		p.GetPaymentId()).Scan(&out.State, &out.Transaction, &out.Version, &out.SucceededAt, &out.Next))
	return out
}

func TestAPaymentThatHasLostItsSuccessHasItAgain(t *testing.T) {
	for name, again := range map[string]func(s *shop, c *paymentv1.CreatePaymentResponse){
		"once it is polled": func(s *shop, _ *paymentv1.CreatePaymentResponse) { s.poll() },
		"once its notification comes again": func(s *shop, c *paymentv1.CreatePaymentResponse) {
			s.pay(c.GetRedirectUrl())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.sell(5)
			o := s.place("ann", 1)
			c := s.charge(o)
			p := c.GetPayment()
			s.pay(c.GetRedirectUrl())
			s.wantOrder(o, paid)
			before, history := s.stored(p), s.count("payment_history", "true")
			s.clock.advance(time.Minute)
			s.lose(p)
			_, err := s.orders.CancelOrder(context.Background(), &orderv1.CancelOrderRequest{
				RequestId: s.requestID(), BuyerId: "ann", OrderId: o.GetOrderId(),
			})
			if err == nil {
				t.Fatal("a payment that has not succeeded was refunded")
			}

			again(s, c)
			if diff := cmp.Diff(before, s.stored(p)); diff != "" {
				t.Errorf("the payment (-before +again):\n%s", diff)
			}
			s.wantOrder(o, paid)
			if n := s.count("payment_history", "true"); n != history {
				t.Errorf("%d rows of history, want %d: what happened happened once", n, history)
			}
			if n := s.count("refunds", "true"); n != 0 {
				t.Errorf("%d refunds of an order that was paid once", n)
			}
			s.cancel(o)
			s.refund()
			s.onlyRefund(o, refunded)
		})
	}
}

// Whatever the reason is why a success changes nothing: it is not asked about every second.
func TestASuccessThatChangesNothingIsAskedAboutLater(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	_, first := s.bought("ann", 1)
	second := s.charge(s.place("ann", 1))
	s.lost.Store(true)
	s.pay(second.GetRedirectUrl())
	s.exec("UPDATE sandbox_transactions SET transaction_id = $2 WHERE payment_id = $1",
		second.GetPayment().GetPaymentId(), s.stored(first).Transaction)
	s.clock.advance(time.Minute)
	s.poll()
	queries := s.faults.count("query")
	s.clock.advance(time.Second)
	s.poll()
	if n := s.faults.count("query"); queries == 0 || n != queries {
		t.Errorf("asked %d times, and %d a second later", queries, n)
	}
	s.wantPayment(second.GetPayment(), statePending)
	if next := s.stored(second.GetPayment()).Next; next == nil {
		t.Error("it is not asked about any more")
	}
}

// What was paid is not written again to have the order's other payments closed.
func TestOnlyTheOtherOpenPaymentsOfAnOrderAreHurried(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	var payments []*paymentv1.Payment
	for range 3 {
		payments = append(payments, s.charge(o).GetPayment())
	}
	just, other, ended := payments[0], payments[1], payments[2]
	s.exec("UPDATE payments SET state = 'FAILED' WHERE payment_id = $1", ended.GetPaymentId())
	later := s.stored(just).Next
	now := s.clock.now().UTC()
	id := func(p *paymentv1.Payment) uuid.UUID { return uuid.MustParse(p.GetPaymentId()) }
	s.must(payment.Hurry(context.Background(), s.pool, now, []uuid.UUID{uuid.MustParse(o.GetOrderId())}, id(just)))
	want := []*time.Time{later, &now, later}
	if diff := cmp.Diff(want, []*time.Time{s.stored(just).Next, s.stored(other).Next, s.stored(ended).Next}); diff != "" {
		t.Errorf("the next questions (-want +got):\n%s", diff)
	}
	s.must(payment.Hurry(context.Background(), s.pool, now, []uuid.UUID{uuid.MustParse(o.GetOrderId())}))
	if next := s.stored(just).Next; !next.Equal(now) {
		t.Errorf("the payment is asked about at %s, want %s", next, now)
	}
}
