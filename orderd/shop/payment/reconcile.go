package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
)

const (
	reconcileInterval = 10 * time.Second
	// reconcilePage is how many rows of a statement, or payments of ours, are compared at once.
	reconcilePage = 500
	// reconcileTimeout bounds one attempt at a day.
	reconcileTimeout = time.Hour
	// statementDelay is how long after a day's end its statement is asked for. After a failure it
	// is asked for again after reconcileRetry, which doubles up to maxReconcileDelay.
	statementDelay    = 12 * time.Hour
	reconcileRetry    = 10 * time.Minute
	maxReconcileDelay = 6 * time.Hour
	// catchUp is how many days are made up for after an outage.
	catchUp = 7
	// edge is how far our time of a success may be from the provider's: around midnight the two may
	// lie in different days' statements.
	edge = 2 * time.Hour
)

// States of a reconciliation.
const (
	reconcileRequested = "REQUESTED"
	reconcileDone      = "DONE"
)

// DifferenceKind is what a statement and we do not agree on. DIFFERENCE_KIND_ before one makes its
// name in the API.
type DifferenceKind string

// The kinds.
const (
	// MissingHere: the statement has it and we do not.
	MissingHere DifferenceKind = "MISSING_HERE"
	// MissingThere: we have it and no statement does.
	MissingThere    DifferenceKind = "MISSING_THERE"
	AmountDiffers   DifferenceKind = "AMOUNT_DIFFERS"
	CurrencyDiffers DifferenceKind = "CURRENCY_DIFFERS"
	// StateDiffers: the provider has moved the money, and our payment or refund has not succeeded.
	StateDiffers DifferenceKind = "STATE_DIFFERS"
	// TransactionDiffers: ours has succeeded by another of the provider's transactions.
	TransactionDiffers DifferenceKind = "TRANSACTION_DIFFERS"
)

// Difference is one point on which a statement and we do not agree.
type Difference struct {
	Provider string
	Day      time.Time
	// Subject is the provider's transaction, or our id of the payment or refund that its statement
	// lacks.
	Subject             string
	Kind                DifferenceKind
	SubjectKind         Kind
	TransactionID       string
	PaymentID, RefundID *uuid.UUID
	OurState            string
	OurAmount           int64
	OurCurrency         string
	TheirAmount         int64
	TheirCurrency       string
	FoundAt             time.Time
}

// booked is what we have of a row of a statement.
type booked struct {
	paymentID, refundID uuid.UUID
	state               State
	amount              int64
	currency            string
	// transactionID is the provider's transaction by which it succeeded; empty if the provider did
	// not tell.
	transactionID string
}

// moved tells whether a statement may have it. A refund is in the statement of the day on which it
// was asked for, and may be PENDING for days after that while the buyer's bank works.
func (b *booked) moved() bool {
	return b.state == Succeeded || (b.state == Pending && b.refundID != uuid.Nil)
}

// compare finds what a statement's row and our own row differ in; nothing if they agree. ours is
// nil if we have none.
func compare(row StatementRow, ours *booked) []DifferenceKind {
	if ours == nil {
		return []DifferenceKind{MissingHere}
	}
	var out []DifferenceKind
	if ours.currency != row.Currency {
		out = append(out, CurrencyDiffers)
	}
	if ours.amount != row.Amount {
		out = append(out, AmountDiffers)
	}
	switch {
	case !ours.moved():
		out = append(out, StateDiffers)
	case ours.transactionID != "" && ours.transactionID != row.TransactionID:
		out = append(out, TransactionDiffers)
	}
	return out
}

// Reconciler compares our payments and refunds with the providers' statements, a day at a time. A
// day may be read twice, even by two workers at once: each difference is stored once.
type Reconciler struct {
	service  *Service
	holder   *lease.Holder
	interval time.Duration
	log      *slog.Logger
}

// NewReconciler makes a reconciler; Run starts it.
func NewReconciler(o WorkerOptions) (*Reconciler, error) {
	r := &Reconciler{service: o.Service, interval: o.Interval, log: o.Logger}
	if r.interval <= 0 {
		r.interval = reconcileInterval
	}
	// The leases say whose turn it is. A loop would be no use: reading a statement takes longer
	// than a round of leased work may.
	var err error
	r.holder, err = lease.NewHolder(lease.HolderOptions{
		Pool: o.Service.pool, Kind: "reconciliation", Worker: o.Worker, TTL: o.TTL, Clock: o.Service.now,
		Logger: o.Logger, Registerer: o.Registerer,
	})
	return r, err
}

// Run reconciles until ctx ends and returns nil.
func (r *Reconciler) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { return r.holder.Run(ctx) })
	for _, name := range r.service.names {
		g.Go(func() error { r.watch(ctx, r.service.providers[name]); return nil })
	}
	return g.Wait()
}

// watch looks for days of a provider while this worker leases its bucket.
func (r *Reconciler) watch(ctx context.Context, provider Provider) {
	bucket := lease.Bucket(uuid.NewSHA1(uuid.Nil, []byte(provider.Name())))
	tick := time.NewTicker(r.interval)
	defer tick.Stop()
	for {
		if slices.Contains(r.holder.Held(), bucket) {
			if err := r.service.reconcileDue(ctx, provider); err != nil && ctx.Err() == nil {
				r.log.Warn("a reconciliation failed and is tried again", "provider", provider.Name(), "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// reconcileDue reads the days whose time has come, one after the other.
func (s *Service) reconcileDue(ctx context.Context, provider Provider) error {
	latest := date(s.now().In(provider.Location()).Add(-statementDelay).AddDate(0, 0, -1))
	if err := s.planDays(ctx, provider.Name(), latest); err != nil {
		return err
	}
	for {
		due, ok, err := s.dueDay(ctx, provider.Name())
		if err != nil || !ok {
			return err
		}
		reading, cancel := context.WithTimeout(ctx, reconcileTimeout)
		rows, err := s.reconcile(reading, provider, due.Day)
		cancel()
		if err == nil {
			err = s.finishDay(ctx, due, rows)
		} else {
			err = errors.Join(err, s.delayDay(ctx, due, failureOf(err)))
		}
		if err != nil {
			return fmt.Errorf("day %s: %w", due.Day.Format(time.DateOnly), err)
		}
	}
}

// date is the day of a time in its own time zone.
func date(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// begins is when a day begins in a time zone.
func begins(day time.Time, zone *time.Location) time.Time {
	y, m, d := day.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone)
}

// failureOf is why a day could not be read, as staff see it.
func failureOf(err error) string {
	var refused *RefusedError
	switch {
	case errors.Is(err, ErrStatementNotReady):
		return "STATEMENT_NOT_READY"
	case errors.As(err, &refused):
		return refused.Reason
	}
	return "PROVIDER_UNAVAILABLE"
}

// reconcile compares one day, both ways, and returns how many rows its statement has. Each
// difference is stored once, however often the day is compared.
func (s *Service) reconcile(ctx context.Context, provider Provider, day time.Time) (int64, error) {
	d := &dayReader{service: s, provider: provider.Name(), day: day}
	from := begins(day, provider.Location())
	err := provider.Statement(ctx, from, func(row StatementRow) error { return d.add(ctx, row) })
	if err == nil {
		err = d.flush(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("reading the statement: %w", err)
	}
	// What succeeded here in the last hours of the day may be in the next day's statement.
	to := begins(day.AddDate(0, 0, 1), provider.Location())
	for bucket := range int64(lease.Buckets) {
		for _, of := range []Kind{KindPayment, KindRefund} {
			if err := d.missing(ctx, of, bucket, from.Add(-edge), to.Add(-edge)); err != nil {
				return 0, err
			}
		}
	}
	return d.rows, nil
}
