package order

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/lease"
)

const (
	// expireBatch is how many orders one transaction expires.
	expireBatch = 200
	// expireInterval is between looks for expired orders, a query a bucket.
	expireInterval = time.Second
)

// WorkerOptions are what the order package's background work takes. Store, Worker and Logger have to be set.
type WorkerOptions struct {
	Store *Store
	// Worker names this process among the live workers: the pod's name.
	Worker string
	// Interval between looks for new work, and TTL of a lease; sensible ones if zero.
	Interval, TTL time.Duration
	Logger        *slog.Logger
	Registerer    prometheus.Registerer
}

func (o WorkerOptions) loop(kind string, interval time.Duration, work lease.Work) (*lease.Loop, error) {
	if o.Interval > 0 {
		interval = o.Interval
	}
	return lease.NewLoop(lease.Options{
		Pool: o.Store.pool, Kind: kind, Worker: o.Worker, Work: work, Interval: interval, TTL: o.TTL,
		Clock: o.Store.now, Logger: o.Logger, Registerer: o.Registerer,
	})
}

// Expirer cancels unpaid orders whose time to pay is over.
type Expirer struct {
	store *Store
	loop  *lease.Loop
	log   *slog.Logger
}

// NewExpirer makes an expirer; Run starts it.
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
	rows, err := e.store.pool.Query(ctx, `SELECT order_id FROM orders WHERE bucket = $1 AND state = 'PENDING_PAYMENT' AND expires_at <= $2
		ORDER BY expires_at, order_id LIMIT $3`, bucket, now, expireBatch)
	if err != nil {
		return false, fmt.Errorf("looking for expired orders: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return false, fmt.Errorf("looking for expired orders: %w", err)
	}
	if len(ids) == 0 {
		return false, nil
	}
	return eachOrAll(ctx, ids, expireBatch, e.log, func(ctx context.Context, ids []uuid.UUID) error { return e.store.Expire(ctx, ids, now) })
}
