package consume

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

const (
	// inboxRetention is longer than an event can be delivered again.
	inboxRetention = outbox.Retention + 24*time.Hour
	sweepBatch     = 1000
	// sweepInterval lets a day's keys, some millions a bucket, be looked at within hours.
	sweepInterval = 15 * time.Second
)

// SweeperOptions of a Sweeper. Interval, TTL and Registerer may be left out.
type SweeperOptions struct {
	Pool *pgxpool.Pool
	// Worker names this process among the live sweepers: the pod's name.
	Worker        string
	Interval, TTL time.Duration
	Clock         func() time.Time
	Logger        *slog.Logger
	Registerer    prometheus.Registerer
}

// Sweeper deletes inbox keys that are too old to be needed. It walks through the table by its key,
// over and over: an index by time would cost every event more than the walk costs.
type Sweeper struct {
	pool *pgxpool.Pool
	now  func() time.Time
	loop *lease.Loop

	mu sync.Mutex
	// after is where the walk through a bucket goes on.
	after map[int64]position
}

// position is a key's place in its bucket.
type position struct{ consumer, id string }

// NewSweeper makes a sweeper of all consumers' keys; Run starts it.
func NewSweeper(o SweeperOptions) (*Sweeper, error) {
	if o.Interval <= 0 {
		o.Interval = sweepInterval
	}
	s := &Sweeper{pool: o.Pool, now: o.Clock, after: map[int64]position{}}
	var err error
	s.loop, err = lease.NewLoop(lease.Options{
		Pool: o.Pool, Kind: "consumed-events", Worker: o.Worker, Work: s.work, Interval: o.Interval, TTL: o.TTL,
		Clock: o.Clock, Logger: o.Logger, Registerer: o.Registerer,
	})
	return s, err
}

// Run sweeps until ctx ends and returns nil.
func (s *Sweeper) Run(ctx context.Context) error { return s.loop.Run(ctx) }

func (s *Sweeper) work(ctx context.Context, bucket int64) (bool, error) {
	s.mu.Lock()
	after := s.after[bucket]
	s.mu.Unlock()
	last, more, err := sweep(ctx, s.pool, bucket, after, s.now().Add(-inboxRetention), sweepBatch)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !more {
		last = position{}
	}
	s.after[bucket] = last
	return more, nil
}
