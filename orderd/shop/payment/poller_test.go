package payment_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

const (
	stateSucceeded = paymentv1.PaymentState_PAYMENT_STATE_SUCCEEDED
	statePending   = paymentv1.PaymentState_PAYMENT_STATE_PENDING
	stateClosed    = paymentv1.PaymentState_PAYMENT_STATE_CLOSED

	paid      = orderv1.OrderState_ORDER_STATE_PAID
	unpaid    = orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT
	cancelled = orderv1.OrderState_ORDER_STATE_CANCELLED
)

// wantPayment looks at a payment of ann's.
func (s *shop) wantPayment(p *paymentv1.Payment, want paymentv1.PaymentState) {
	s.tb.Helper()
	if got := s.payment("ann", p.GetPaymentId()).GetState(); got != want {
		s.tb.Fatalf("the payment is %s, want %s", got, want)
	}
}

func (s *shop) wantOrder(o *orderv1.Order, want orderv1.OrderState) {
	s.tb.Helper()
	if got := s.order(o).GetState(); got != want {
		s.tb.Fatalf("the order is %s, want %s", got, want)
	}
}

func TestALostNotificationCostsADelay(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	c := s.charge(o)
	s.lost.Store(true)
	if status := s.pay(c.GetRedirectUrl()); status != 200 {
		t.Fatalf("paying: %d", status)
	}
	s.wantOrder(o, unpaid)
	s.poll()
	s.wantOrder(o, unpaid) // its time has not come
	s.clock.advance(time.Minute)
	s.poll()
	s.wantOrder(o, paid)
	s.wantPayment(c.GetPayment(), stateSucceeded)
	// The notification comes after all, twice, and is about what is known.
	s.lost.Store(false)
	for range 2 {
		if status := s.pay(c.GetRedirectUrl()); status != 200 {
			t.Fatalf("paying: %d", status)
		}
	}
	if n := s.count("refunds", "true"); n != 0 {
		t.Errorf("%d refunds of a payment that was told of twice", n)
	}
	if n := s.count("payments", "next_query_at IS NOT NULL"); n != 0 {
		t.Error("the provider is still asked")
	}
	queries := s.faults.count("query")
	s.clock.advance(48 * time.Hour)
	s.poll()
	if s.faults.count("query") != queries {
		t.Error("the provider was asked about a payment that has ended")
	}
}

func TestAnOpenPaymentIsAskedAboutLessAndLess(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	c := s.charge(o)
	for range int(timeToPay/time.Second) - 1 {
		s.clock.advance(time.Second)
		if n := s.count("payments", "next_query_at <= $1", s.clock.now()); n > 0 {
			s.poll()
		}
	}
	if n := s.faults.count("query"); n < 5 || n > 15 {
		t.Errorf("asked %d times in %s", n, timeToPay)
	}
	s.wantPayment(c.GetPayment(), statePending)
	s.clock.advance(2 * time.Second)
	s.poll()
	s.wantPayment(c.GetPayment(), stateClosed)
	if status := s.pay(c.GetRedirectUrl()); status != 410 {
		t.Errorf("paying a closed payment: %d", status)
	}
}

func TestWhatAnOrderNeedsNoMoreIsClosed(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	t.Run("when another payment was first", func(t *testing.T) {
		o := s.place("ann", 1)
		first, second := s.charge(o), s.charge(o)
		if status := s.pay(first.GetRedirectUrl()); status != 200 {
			t.Fatalf("paying: %d", status)
		}
		s.poll()
		s.wantPayment(second.GetPayment(), stateClosed)
		s.wantPayment(first.GetPayment(), stateSucceeded)
		if status := s.pay(second.GetRedirectUrl()); status != 410 {
			t.Errorf("paying again: %d", status)
		}
	})
	t.Run("when the order was cancelled", func(*testing.T) {
		o := s.place("ann", 1)
		c := s.charge(o)
		s.cancel(o)
		s.poll()
		s.wantPayment(c.GetPayment(), statePending) // nobody has told the payments
		ctx, closer := context.Background(), payment.NewCloser(s.service)
		s.must(database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
			return closer.Handle(ctx, tx, consume.Event{Type: closer.Types()[0], OrderID: uuid.MustParse(o.GetOrderId())})
		}))
		s.poll()
		s.wantPayment(c.GetPayment(), stateClosed)
	})
	t.Run("when nobody tells of the cancellation", func(*testing.T) {
		o := s.place("ann", 1)
		c := s.charge(o)
		s.cancel(o)
		s.clock.advance(time.Minute)
		s.poll()
		s.wantPayment(c.GetPayment(), stateClosed)
	})
	if n := s.count("payment_history", "event = 'close'"); n != 3 {
		t.Errorf("%d rows of history", n)
	}
}

// The buyer pays, we hear nothing of it, and the order is cancelled: closing finds the money.
func TestClosingFindsThatItWasPaid(t *testing.T) {
	for name, taken := range map[string]bool{"with stock": false, "without stock": true} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.sell(2)
			o := s.place("ann", 2)
			c := s.charge(o)
			s.lost.Store(true)
			if status := s.pay(c.GetRedirectUrl()); status != 200 {
				t.Fatalf("paying: %d", status)
			}
			s.cancel(o)
			if taken {
				s.place("bob", 1)
			}
			s.clock.advance(time.Minute)
			s.poll()
			s.wantPayment(c.GetPayment(), stateSucceeded)
			if !taken {
				s.wantOrder(o, paid)
				return
			}
			s.wantOrder(o, cancelled)
			s.refund()
			s.onlyRefund(o, refunded)
		})
	}
}

func TestACreateWhoseAnswerWasLost(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	req := s.request(o)
	s.faults.set(nil, fail("create", errLost))
	_, err := s.service.CreatePayment(context.Background(), req)
	wantError(t, err, connect.CodeUnavailable, "PROVIDER_UNAVAILABLE")
	s.faults.set(nil, nil)
	if n := s.count("payments", "state = 'CREATED'"); n != 1 {
		t.Fatalf("%d payments are CREATED", n)
	}
	s.clock.advance(time.Minute)
	s.poll()
	again, err := s.service.CreatePayment(context.Background(), req)
	s.must(err)
	if again.GetPayment().GetState() != statePending || again.GetRedirectUrl() == "" {
		t.Errorf("again: %v", again)
	}
	// One that nobody asks for again is closed with its order.
	s.faults.set(nil, fail("create", errLost))
	_, err = s.service.CreatePayment(context.Background(), s.request(o))
	wantError(t, err, connect.CodeUnavailable, "PROVIDER_UNAVAILABLE")
	s.faults.set(nil, nil)
	s.clock.advance(timeToPay)
	s.poll()
	if n := s.count("payments", "state = 'CLOSED'"); n != 2 {
		t.Errorf("%d payments are CLOSED", n)
	}
}

func TestAProviderThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	c := s.charge(o)
	s.cancel(o)
	s.faults.set(nil, fail("close", errLost))
	s.clock.advance(time.Minute)
	s.poll()
	s.wantPayment(c.GetPayment(), statePending)
	s.faults.set(fail("close", &payment.RefusedError{Reason: "BUSY"}), nil)
	s.clock.advance(time.Hour)
	s.poll()
	// It would not close; asked, it says that it was closed by the call whose answer was lost.
	s.wantPayment(c.GetPayment(), stateClosed)
}

func TestWhatAQueryTellsIsBelievedNoMoreThanANotification(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	c := s.charge(o)
	s.lost.Store(true)
	s.pay(c.GetRedirectUrl())
	_, err := s.pool.Exec(context.Background(), "UPDATE sandbox_transactions SET amount = amount - 1")
	s.must(err)
	s.clock.advance(time.Minute)
	s.poll()
	s.wantOrder(o, unpaid)
	if n := s.count(
		"refused_notifications", "reason = 'AMOUNT_WRONG' AND payment_id = $1", c.GetPayment().GetPaymentId(),
	); n != 1 {
		t.Errorf("%d are kept for staff", n)
	}
}

func TestThePollerAndTheRefundsRun(t *testing.T) {
	s := newShop(t)
	s.sell(50)
	var orders []*orderv1.Order
	for i := range 10 {
		o := s.place(fmt.Sprintf("b%d", i), 1)
		first, second := s.charge(o), s.charge(o)
		s.lost.Store(i%2 == 0)
		s.pay(first.GetRedirectUrl())
		s.pay(second.GetRedirectUrl())
		orders = append(orders, o)
	}
	s.clock.advance(time.Minute)
	// Two workers share the buckets; what both find is done once.
	log := slog.New(slog.DiscardHandler)
	other := payment.WorkerOptions{Service: s.service, WorkerOptions: lease.WorkerOptions{
		Worker: "other", Interval: 20 * time.Millisecond, TTL: 2 * time.Second, Logger: log,
	}}
	poller, err := payment.NewPoller(other)
	s.must(err)
	refunds, err := payment.NewRefundWorker(other)
	s.must(err)
	// The leases need time that goes on.
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.clock.advance(10 * time.Millisecond)
			case <-stop:
				return
			}
		}
	}()
	for _, w := range []interface{ Run(context.Context) error }{s.poller, s.refunds, poller, refunds} {
		run(t, w)
	}
	eventually(t, func() bool {
		return s.count("orders", "state = 'PAID'") == 10 && s.count("refunds", "state = 'SUCCEEDED'") == 10
	})
	for _, o := range orders {
		s.wantOrder(o, paid)
	}
	if n := s.count("sandbox_transactions", "state = 'REFUNDED'"); n != 10 {
		t.Errorf("the sandbox has paid back %d times", n)
	}
}

// run runs a worker until the test ends.
func run(t *testing.T, w interface{ Run(context.Context) error }) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !condition() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it did not come true in time")
		}
	}
}
