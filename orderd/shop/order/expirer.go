package order

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
)

const (
	// expireBatch is how many orders one transaction expires.
	expireBatch = 200
	// expireInterval is between looks for expired orders, a query a bucket.
	expireInterval = time.Second
)

// WorkerOptions are what the order package's background work takes. Store, Worker and
// Logger have to be set.
type WorkerOptions struct {
	lease.WorkerOptions

	Store *Store
}

func (o WorkerOptions) loop(kind string, interval time.Duration, work lease.Work) (*lease.Loop, error) {
	return o.NewLoop(o.Store.pool, o.Store.now, lease.Job{Kind: kind, Interval: interval, Work: work})
}

// Expirer cancels unpaid orders whose time to pay is over.
type Expirer struct {
	store *Store
	loop  *lease.Loop
	log   *slog.Logger
}

// NewExpirer makes an expirer; [Expirer.Run] starts it. An error is the registerer's.
func NewExpirer(o WorkerOptions) (*Expirer, error) {
	e := &Expirer{store: o.Store, log: o.Logger}
	var err error
	e.loop, err = o.loop("expiry", expireInterval, e.work)
	return e, err
}

// Run expires orders until ctx ends and returns nil.
func (e *Expirer) Run(ctx context.Context) error { return e.loop.Run(ctx) }

func (e *Expirer) work(ctx context.Context, bucket int64) (bool, error) {
	now := e.store.now()
	ids, err := e.store.expiredUntil(ctx, bucket, now, expireBatch)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	return allElseEach(ctx, ids, expireBatch, e.log, func(ctx context.Context, ids []uuid.UUID) error {
		return e.store.Expire(ctx, ids, now)
	})
}

// allElseEach does work for all orders at once. Where that fails for good it does it for each order
// by itself: one order that cannot be worked on must not keep the others waiting. It tells whether
// there may be more orders than these, which there may if they fill a batch.
func allElseEach(
	ctx context.Context, ids []uuid.UUID, batch int, log *slog.Logger, work func(context.Context, []uuid.UUID) error,
) (bool, error) {
	err := work(ctx, ids)
	if err == nil || database.ClassOf(err) != database.Final || len(ids) == 1 {
		return len(ids) == batch, err
	}
	var last error
	for _, id := range ids {
		if err := work(ctx, []uuid.UUID{id}); err != nil {
			log.Error("an order's time cannot be ended", "order", id, "error", err)
			last = err
		}
	}
	return false, last
}

// Expire cancels those of the orders that are still unpaid at the given time, which
// is past their expiry.
func (s *Store) Expire(ctx context.Context, ids []uuid.UUID, at time.Time) error {
	err := database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		var expired []change
		orders, err := lock(ctx, tx, ids)
		if err != nil {
			return err
		}
		for _, o := range orders {
			if o.State != PendingPayment || o.ExpiresAt.After(at) {
				continue
			}
			c, err := step(o, Expire, database.Stamp(at), actorExpirer, reasonExpired)
			if err != nil {
				return err
			}
			expired = append(expired, c)
		}
		tx.AfterCommit(func() { s.metrics.observeExpiry(expired, at) })
		return s.undo(ctx, tx, &pgx.Batch{}, expired)
	})
	if err != nil {
		return fmt.Errorf("expiring orders: %w", err)
	}
	return nil
}
