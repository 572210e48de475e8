package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

const (
	// pollBatch is how many payments one round of a bucket asks about, and pollParallel how many of
	// them at once: with two calls each, a provider that never answers takes less time than a round
	// has.
	pollBatch    = 32
	pollParallel = 16
	pollInterval = time.Second

	// A payment is asked about again after half its age: a buyer pays soon or never.
	minQueryDelay = 10 * time.Second
	maxQueryDelay = 10 * time.Minute
	// Beyond the order's end it is there to be closed.
	minCloseDelay = 5 * time.Second
	maxCloseDelay = time.Hour
)

// Poller asks providers about payments that have not ended, so that a lost notification costs a delay
// and nothing else, and closes those whose orders cannot be paid any more.
type Poller struct {
	service *Service
	loop    *lease.Loop
	log     *slog.Logger
}

// NewPoller makes a poller; Run starts it.
func NewPoller(o WorkerOptions) (*Poller, error) {
	p := &Poller{service: o.Service, log: o.Logger}
	var err error
	p.loop, err = o.loop("payments", pollInterval, p.work)
	return p, err
}

// Run polls until ctx ends and returns nil.
func (p *Poller) Run(ctx context.Context) error { return p.loop.Run(ctx) }

func (p *Poller) work(ctx context.Context, bucket int64) (bool, error) {
	s := p.service
	due, err := duePayments(ctx, s.pool, bucket, s.now(), pollBatch)
	if err != nil {
		return false, err
	}
	var g errgroup.Group
	g.SetLimit(pollParallel)
	for _, payment := range due {
		g.Go(func() error {
			next, err := s.poll(ctx, payment)
			if err != nil {
				s.metrics.polls.WithLabelValues(payment.Provider, "failed").Inc()
				p.log.Warn("what became of a payment is not known yet",
					"payment", payment.ID, "provider", payment.Provider, "again", next, "error", err)
			}
			if next.IsZero() {
				return nil
			}
			return s.reschedule(ctx, payment, next)
		})
	}
	err = g.Wait()
	return len(due) == pollBatch, err
}

// poll finds out what became of one payment and returns when to come back; zero if it needs no more.
func (s *Service) poll(ctx context.Context, p *Payment) (time.Time, error) {
	due, err := order.GetDue(ctx, s.pool, p.BuyerID, p.OrderID)
	if err != nil {
		return queryAgain(p, due, false, s.now()), err
	}
	open := payable(due, s.now()) == nil && p.open()
	ended, err := s.findOut(ctx, p, open)
	switch {
	case err == nil && ended:
		return time.Time{}, nil
	case ended && database.ClassOf(err) != database.Final:
		// The provider has answered, and the database is away: what it said is to be written soon.
		return s.now().Add(minCloseDelay), err
	}
	return queryAgain(p, due, open, s.now()), err
}

// queryAgain is when to ask about a payment again.
func queryAgain(p *Payment, due order.Due, open bool, now time.Time) time.Time {
	if !open {
		since := now.Sub(p.CreatedAt)
		if p.ExpiresAt.Before(now) {
			since = now.Sub(p.ExpiresAt)
		}
		return now.Add(min(max(since/2, minCloseDelay), maxCloseDelay))
	}
	next := now.Add(min(max(now.Sub(p.CreatedAt)/2, minQueryDelay), maxQueryDelay))
	if next.After(due.ExpiresAt) {
		return due.ExpiresAt
	}
	return next
}

// findOut asks the provider what became of a payment and writes it. A payment whose order cannot be
// paid any more is closed at the provider first; it may turn out to be paid. The answer tells whether
// the provider's part is over; an error beside it says that this was not written. No transaction is
// open while the provider is called.
func (s *Service) findOut(ctx context.Context, p *Payment, payable bool) (ended bool, err error) {
	provider, ok := s.providers[p.Provider]
	if !ok {
		return false, fmt.Errorf("payment provider %s is not configured", p.Provider)
	}
	if !payable && p.open() {
		calling, cancel := context.WithTimeout(ctx, providerTimeout)
		err := provider.Close(calling, p.charge())
		cancel()
		var refused *RefusedError
		switch {
		case err == nil:
			return true, s.end(ctx, p.ID, Close, actorSystem, "the order cannot be paid any more")
		// A provider that will not close it says what it is when asked.
		case errors.Is(err, ErrPaid), errors.As(err, &refused):
		default:
			return false, fmt.Errorf("closing: %w", err)
		}
	}
	calling, cancel := context.WithTimeout(ctx, providerTimeout)
	status, err := provider.Query(calling, p.charge())
	cancel()
	if err != nil {
		return false, fmt.Errorf("querying: %w", err)
	}
	s.metrics.polls.WithLabelValues(p.Provider, string(status.State)).Inc()
	actor := "provider " + p.Provider
	switch {
	case status.State == StatusSucceeded:
		return true, s.succeeded(ctx, p, status)
	case !p.open():
		return true, s.stopAsking(ctx, p)
	case status.State == StatusFailed:
		return true, s.end(ctx, p.ID, Fail, actor, status.Reason)
	case status.State == StatusClosed:
		return true, s.end(ctx, p.ID, Close, actor, "closed at the provider")
	case status.State == StatusNotFound && !payable:
		return true, s.end(ctx, p.ID, Close, actor, "never known to the provider")
	}
	return false, nil
}

// succeeded applies a success that nobody told us of as if a notification had.
func (s *Service) succeeded(ctx context.Context, p *Payment, status Status) error {
	raw, err := json.Marshal(map[string]any{
		"query": p.ID, "transaction_id": status.TransactionID, "amount": status.Amount, "currency": status.Currency,
		"paid_at": status.PaidAt,
	})
	if err != nil {
		return fmt.Errorf("storing the provider's answer: %w", err)
	}
	n := Notification{
		Kind: KindPayment, TransactionID: status.TransactionID, PaymentID: p.ID, Amount: status.Amount,
		Currency: status.Currency, Success: true, PaidAt: status.PaidAt, Raw: raw,
	}
	err = s.tell(ctx, p.Provider, n)
	var refused *NotificationError
	switch {
	case errors.As(err, &refused):
		// It is kept for staff to see, and asking again would answer the same.
		return errors.Join(err, s.stopAsking(ctx, p))
	case err != nil:
		return err
	case !p.open():
		return s.stopAsking(ctx, p)
	}
	return s.mustSucceed(ctx, p.ID, status.TransactionID)
}

// mustSucceed is an error if a payment is still open though its success was applied. That is so if
// the provider's transaction was taken for another payment's before.
func (s *Service) mustSucceed(ctx context.Context, id uuid.UUID, transactionID string) error {
	p, err := get(ctx, s.pool, id)
	if err != nil {
		return err
	}
	if p.open() {
		return fmt.Errorf("payment %s is %s though the provider has the money: transaction %q changes nothing here",
			id, p.State, transactionID)
	}
	return nil
}

// end takes an open payment to its end; one that has ended meanwhile stays as it is.
func (s *Service) end(ctx context.Context, id uuid.UUID, event Event, actor, reason string) error {
	err := database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		p, err := lockOne(ctx, tx, id)
		if errors.Is(err, errNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		c, err := step(p, event, database.Stamp(s.now()), actor, reason)
		var refused *lifecycle.RefusedError
		if errors.As(err, &refused) {
			return nil
		}
		if err != nil {
			return err
		}
		if event == Fail {
			p.Failure = reason
		}
		var b pgx.Batch
		s.queueChange(&b, tx, p, c)
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return fmt.Errorf("ending payment %s: %w", id, err)
	}
	return nil
}

// queueChange writes one payment's change and its history, and counts it once it is committed.
func (s *Service) queueChange(b *pgx.Batch, tx *database.Tx, p *Payment, c change) {
	queueUpdates(b, []*Payment{p})
	queueHistory(b, paymentHistory, c)
	tx.AfterCommit(func() { s.metrics.count(c) })
}
