package payment_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

func TestAProviderThatNeverAnswersIsNotAskedForAWhile(t *testing.T) {
	s := newShop(t)
	const failures, pause = 3, time.Second
	all, err := payment.Guard([]payment.Provider{s.faults}, payment.BreakerOptions{
		Failures: failures, Pause: pause, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	s.must(err)
	guarded, ctx := all[0], context.Background()
	charge := payment.Charge{PaymentID: uuid.New(), Amount: 5, Currency: "CNY", ExpiresAt: s.clock.now().Add(time.Hour)}
	s.faults.set(fail("create", errLost), nil)
	for range 3 * failures {
		if _, err := guarded.Create(ctx, charge); err == nil {
			t.Fatal("there was an answer")
		}
	}
	if n := s.faults.count("create"); n != failures {
		t.Errorf("asked %d times, want %d", n, failures)
	}
	if _, err := guarded.Query(ctx, charge); err != nil {
		t.Errorf("another operation: %v", err)
	}
	s.faults.set(nil, nil)
	eventually(t, func() bool {
		_, err := guarded.Create(ctx, charge)
		return err == nil
	})
	// A refusal is an answer, and so is that it was paid; whoever goes away says nothing of the
	// provider.
	for _, answer := range []error{&payment.RefusedError{Reason: "NO"}, payment.ErrPaid, context.Canceled} {
		s.faults.set(fail("create", answer), nil)
		before := s.faults.count("create")
		for range 3 * failures {
			if _, err := guarded.Create(ctx, charge); !errors.Is(err, answer) {
				t.Fatalf("%v, want %v", err, answer)
			}
		}
		if n := s.faults.count("create") - before; n != 3*failures {
			t.Errorf("%v: asked %d times, want %d", answer, n, 3*failures)
		}
	}
}

// patient is a provider whose callers lose their patience while it works.
type patient struct {
	payment.Provider
	lose func()
	err  error
}

func (p *patient) Create(ctx context.Context, c payment.Charge) (payment.Session, error) {
	p.lose()
	p.err = ctx.Err()
	return p.Provider.Create(ctx, c)
}

func TestABuyersDeadlineIsNoProvidersFailure(t *testing.T) {
	s := newShop(t)
	s.sell(5)
	o := s.place("ann", 1)
	ctx, cancel := context.WithCancel(context.Background())
	slow := &patient{Provider: s.sandbox, lose: cancel}
	service, err := payment.NewService(payment.Options{
		Pool: s.pool, Orders: s.store, Providers: []payment.Provider{slow}, Clock: s.clock.now, Random: rand.Reader,
		Logger: slog.New(slog.DiscardHandler),
	})
	s.must(err)
	request := s.request(o)
	if _, err := service.CreatePayment(ctx, request); err == nil {
		t.Fatal("nobody waited for the answer, and there was one")
	}
	if slow.err != nil {
		t.Errorf("the provider's call ended with its caller: %v", slow.err)
	}
	slow.lose = func() {}
	answer, err := service.CreatePayment(context.Background(), request)
	s.must(err)
	if answer.GetRedirectUrl() == "" {
		t.Error("a retry does not say where to pay")
	}
}
