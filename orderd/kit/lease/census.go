package lease

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

const (
	// DefaultCensusTTL is how long a dead worker is counted. A count is two statements, which may be slow where the
	// database is: with this much they may take three seconds each.
	DefaultCensusTTL = 10 * time.Second
	// countings a TTL. A count is good for goodFor of them, which is less, since a worker has to lose its
	// part before the others no longer count it.
	countings = 5
	goodFor   = 3
)

// CensusOptions of a [Census]. Pool, Kind, Worker, Clock and Logger have to be set.
type CensusOptions struct {
	Pool *pgxpool.Pool
	// Kind names the work, which nothing else may lease buckets by.
	Kind string
	// Worker names this process among those that do it: the pod's name.
	Worker string
	// TTL is how long a dead worker is counted; [DefaultCensusTTL] if zero.
	TTL        time.Duration
	Clock      func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Census counts the live workers of a kind of work whose rate is promised for all of them together, and says
// what this one's part is (see [Portion]). Who is live is by the database's clock.
type Census struct {
	pool         *pgxpool.Pool
	kind, worker string
	ttl          time.Duration
	now          func() time.Time
	log          *slog.Logger

	// mu guards portion.
	mu      sync.Mutex
	portion Portion
}

// NewCensus makes a census; Run starts it. An error is the registerer's.
func NewCensus(o CensusOptions) (*Census, error) {
	c := &Census{
		pool: o.Pool, kind: o.Kind, worker: o.Worker, ttl: o.TTL, now: o.Clock, log: o.Logger.With("work", o.Kind),
	}
	if c.ttl <= 0 {
		c.ttl = DefaultCensusTTL
	}
	c.portion.Valid = c.ttl * goodFor / countings
	part := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_work_part", Help: "This pod's part, 0 to 1, of what all workers may do together, by work.",
		ConstLabels: prometheus.Labels{"work": o.Kind},
	}, c.Part)
	return c, metric.Register(o.Registerer, o.Kind, part)
}

// Part of what all workers may do that this one may do now: 0 to 1. 0 while it is not known.
func (c *Census) Part() float64 {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.portion.Of(now)
}

// Run counts until ctx ends, then leaves and returns nil. It outlives outages of the database.
func (c *Census) Run(ctx context.Context) error {
	tick := time.NewTicker(c.ttl / countings)
	defer tick.Stop()
	for ctx.Err() == nil {
		counting, cancel := context.WithTimeout(ctx, c.portion.Valid)
		if err := c.count(counting); err != nil && ctx.Err() == nil {
			c.log.Warn("the live workers are not known", "error", err)
		}
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	c.leave(ctx)
	return nil
}

func (c *Census) count(ctx context.Context) error {
	began := c.now()
	if _, err := c.pool.Exec(ctx, enterSQL, c.kind, c.worker, c.ttl.Milliseconds()); err != nil {
		return fmt.Errorf("announcing the worker: %w", err)
	}
	written := c.now()
	var workers int
	if err := c.pool.QueryRow(ctx, liveSQL, c.kind).Scan(&workers); err != nil {
		return fmt.Errorf("counting workers: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.portion.Counted(began, written, workers)
	return nil
}

// leave the table although ctx has ended, so that the others need not wait for the expiry.
func (c *Census) leave(ctx context.Context) {
	c.mu.Lock()
	c.portion.Leave()
	c.mu.Unlock()
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if _, err := c.pool.Exec(leaving, exitSQL, c.kind, c.worker); err != nil {
		c.log.Warn("the worker is counted until its entry expires", "error", err)
	}
}
