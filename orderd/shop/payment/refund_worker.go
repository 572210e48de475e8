package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

const (
	// refundBatch is how many refunds one round of a bucket takes up, and refundParallel how many
	// of them at once.
	refundBatch    = 24
	refundParallel = 12
	refundInterval = time.Second

	// A refund that has no answer, or is under way, is asked about again after a delay that
	// doubles.
	firstRefundDelay = 2 * time.Second
	maxRefundDelay   = 10 * time.Minute
	// maxTold bounds how often a notification is applied again because its refund has changed
	// meanwhile.
	maxTold = 4
)

// refundSchedule is when a refund that the provider has refused is tried again. After the last time
// it waits for staff.
func refundSchedule() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 24 * time.Hour}
}

// RefundWorker has providers pay refunds back, and asks until it is known what became of each.
type RefundWorker struct {
	service *Service
	loop    *lease.Loop
	log     *slog.Logger
}

// NewRefundWorker makes a worker; Run starts it.
func NewRefundWorker(o WorkerOptions) (*RefundWorker, error) {
	w := &RefundWorker{service: o.Service, log: o.Logger}
	var err error
	w.loop, err = o.loop("refunds", refundInterval, w.work)
	return w, err
}

// Run refunds until ctx ends and returns nil.
func (w *RefundWorker) Run(ctx context.Context) error { return w.loop.Run(ctx) }

func (w *RefundWorker) work(ctx context.Context, bucket int64) (bool, error) {
	s := w.service
	due, err := dueRefunds(ctx, s.pool, bucket, s.now(), refundBatch)
	if err != nil {
		return false, err
	}
	var g errgroup.Group
	g.SetLimit(refundParallel)
	for _, r := range due {
		g.Go(func() error {
			attempts := r.Attempts
			err := s.carryOut(ctx, r)
			if err == nil || errors.Is(err, errStale) {
				return nil
			}
			w.log.Warn("a refund has no answer and is asked for again",
				"refund", r.ID, "order", r.OrderID, "provider", r.Provider, "error", err)
			r.Attempts = attempts
			r.delay(s.now())
			return s.delayRefund(ctx, r)
		})
	}
	err = g.Wait()
	return len(due) == refundBatch, err
}

// delay counts a call that did not end the refund, and sets when the next call is.
func (r *Refund) delay(now time.Time) {
	r.Attempts++
	policy := backoff.Policy{First: firstRefundDelay, Max: maxRefundDelay}
	next := database.Stamp(now.Add(policy.Delay(int(r.Attempts))))
	r.NextAttemptAt = &next
}

// carryOut takes a refund as far as the provider lets it. An error leaves open what became of the
// refund: it is carried out again, with the same id for the provider.
func (s *Service) carryOut(ctx context.Context, r *Refund) error {
	provider, ok := s.providers[r.Provider]
	if !ok {
		return fmt.Errorf("payment provider %s is not configured", r.Provider)
	}
	if r.State == Failed {
		if err := s.retryRefund(ctx, r, actorSystem, "by schedule"); err != nil {
			return err
		}
	}
	status, err := s.askProvider(ctx, provider, r)
	var refused *RefusedError
	if errors.As(err, &refused) {
		return s.refundFailed(ctx, r, refused.Reason, false)
	}
	if err != nil {
		return err
	}
	switch status.State {
	case RefundSucceeded:
		return s.refundSucceeded(ctx, r, status.ProviderRefundID)
	case RefundFailed:
		return s.refundFailed(ctx, r, status.Reason, true)
	case RefundPending:
		return s.refundPending(ctx, r, status)
	}
	return fmt.Errorf("the provider answered %q", status.State)
}

// askProvider asks for a refund, or about one that the provider has taken on.
func (s *Service) askProvider(ctx context.Context, provider Provider, r *Refund) (RefundStatus, error) {
	if r.State == Pending {
		calling, cancel := context.WithTimeout(ctx, providerTimeout)
		status, err := provider.QueryRefund(calling, r.order())
		cancel()
		if err != nil {
			return RefundStatus{}, fmt.Errorf("querying: %w", err)
		}
		if status.State != RefundNotFound {
			return status, nil
		}
	}
	calling, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	status, err := provider.Refund(calling, r.order())
	if err != nil {
		return RefundStatus{}, fmt.Errorf("refunding: %w", err)
	}
	return status, nil
}

func (s *Service) refundSucceeded(ctx context.Context, r *Refund, providerID string) error {
	now := database.Stamp(s.now())
	c, err := stepRefund(r, Succeed, now, "provider "+r.Provider, "refund "+providerID)
	if err != nil {
		return err
	}
	r.SucceededAt, r.NextAttemptAt = &now, nil
	if providerID != "" {
		r.ProviderRefundID = providerID
	}
	return s.writeRefund(ctx, r, c)
}

// refundPending notes that the provider has taken a refund on. The first time this is a change,
// later a delay. The provider may give a reason, which staff can do something about.
func (s *Service) refundPending(ctx context.Context, r *Refund, status RefundStatus) error {
	now := database.Stamp(s.now())
	r.Failure = status.Reason
	if r.State == Pending {
		r.delay(now)
		return s.delayRefund(ctx, r)
	}
	c, err := stepRefund(r, Submit, now, "provider "+r.Provider, "refund "+status.ProviderRefundID)
	if err != nil {
		return err
	}
	r.delay(now)
	if status.ProviderRefundID != "" {
		r.ProviderRefundID = status.ProviderRefundID
	}
	return s.writeRefund(ctx, r, c)
}

// refundFailed records the provider's no. final says that the provider knows the id and will never
// pay under it.
func (s *Service) refundFailed(ctx context.Context, r *Refund, reason string, final bool) error {
	now := database.Stamp(s.now())
	c, err := stepRefund(r, Fail, now, "provider "+r.Provider, reason)
	if err != nil {
		return err
	}
	r.Failure, r.FailureFinal, r.NextAttemptAt = reason, final, nil
	if schedule := refundSchedule(); r.Failures < int64(len(schedule)) {
		next := now.Add(schedule[r.Failures])
		r.NextAttemptAt = &next
	}
	r.Failures++
	s.log.Warn("a refund was refused", "refund", r.ID, "order", r.OrderID, "provider", r.Provider,
		"reason", reason, "failures", r.Failures, "again", r.NextAttemptAt)
	return s.writeRefund(ctx, r, c)
}

// retryRefund asks for a failed refund again, under another id if the provider is done with the last.
func (s *Service) retryRefund(ctx context.Context, r *Refund, actor, reason string) error {
	id, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return fmt.Errorf("refund id: %w", err)
	}
	c, err := r.retry(database.Stamp(s.now()), actor, reason, id)
	if err != nil {
		return err
	}
	return s.writeRefund(ctx, r, c)
}

// refundTold applies a provider's notification of a refund.
func (s *Service) refundTold(ctx context.Context, provider string, told Notification) error {
	for range maxTold {
		r, err := refundAsked(ctx, s.pool, provider, told.RefundID)
		switch {
		case errors.Is(err, errRefundNotFound):
			return ErrUnknownPayment
		case err != nil:
			return err
		case r.Currency != told.Currency:
			return &NotificationError{Reason: ReasonCurrencyWrong}
		case r.Amount != told.Amount:
			return &NotificationError{Reason: ReasonAmountWrong}
		}
		err = s.applyRefundTold(ctx, r, told)
		var refused *lifecycle.RefusedError
		switch {
		case errors.As(err, &refused) && !told.Success && r.State == Succeeded:
			// A bank may send back days later what the provider had paid. That is for staff: what the
			// buyer gets is not known here.
			return errors.Join(s.storeTold(ctx, provider, told), s.keep(ctx, provider, told, reasonTakenBack))
		case errors.As(err, &refused):
			return s.storeTold(ctx, provider, told)
		case errors.Is(err, errStale):
			continue
		case err != nil:
			return err
		}
		return s.storeTold(ctx, provider, told)
	}
	return errStale
}

// applyRefundTold applies a notification to the refund as it was read. The failure of a try that
// another one has followed is old.
func (s *Service) applyRefundTold(ctx context.Context, r *Refund, told Notification) error {
	switch {
	case told.Success:
		return s.refundSucceeded(ctx, r, told.TransactionID)
	case r.asked() != told.RefundID:
		return nil
	}
	return s.refundFailed(ctx, r, told.Reason, true)
}
