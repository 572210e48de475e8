package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

const (
	// DefaultInterval is how long new work waits at most before it is looked for.
	DefaultInterval = 250 * time.Millisecond

	// maxRounds bounds one visit to a bucket, so that a bucket full of work does not keep the
	// others waiting.
	maxRounds = 16
	// maxParallel buckets are worked on at once.
	maxParallel = 4
	// workTimeout bounds one call of Work.
	workTimeout = 30 * time.Second
	firstDelay  = 200 * time.Millisecond
	maxDelay    = 5 * time.Second
)

// Work does some of a bucket's work, bounded, and tells whether there is more. The context ends
// when the worker stops.
type Work func(ctx context.Context, bucket int64) (more bool, err error)

// Options of a [Loop]. Kind, Worker, Pool, Clock, Logger and Work have to be set.
type Options struct {
	Pool *pgxpool.Pool
	// Kind names the work; its workers share its buckets.
	Kind string
	// Worker names this process among them: the pod's name.
	Worker string
	Work   Work
	// Interval between looks for new work; [DefaultInterval] if zero.
	Interval time.Duration
	// TTL of a lease; [DefaultTTL] if zero.
	TTL        time.Duration
	Clock      func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Loop leases buckets and works on them: a [Holder], and a look at each of its buckets an interval.
type Loop struct {
	holder   *Holder
	work     Work
	interval time.Duration
	log      *slog.Logger
	failures prometheus.Counter
}

// NewLoop makes a loop; Run starts it. An error is the registerer's.
func NewLoop(o Options) (*Loop, error) {
	holder, err := NewHolder(HolderOptions{
		Pool: o.Pool, Kind: o.Kind, Worker: o.Worker, TTL: o.TTL, Clock: o.Clock, Logger: o.Logger, Registerer: o.Registerer,
	})
	if err != nil {
		return nil, err
	}
	l := &Loop{
		holder: holder, work: o.Work, interval: o.Interval, log: o.Logger.With("work", o.Kind),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_work_failures_total", Help: "Rounds of background work that failed, by work.",
			ConstLabels: prometheus.Labels{"work": o.Kind},
		}),
	}
	if l.interval <= 0 {
		l.interval = DefaultInterval
	}
	return l, metric.Register(o.Registerer, o.Kind, l.failures)
}

// Held are the buckets this worker may work on now.
func (l *Loop) Held() []int64 { return l.holder.Held() }

// Run works until ctx ends, then gives the leases up and returns nil. It outlives outages of the
// database.
func (l *Loop) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { l.holder.heartbeat(ctx); return nil })
	g.Go(func() error { l.poll(ctx); return nil })
	err := g.Wait()
	// Only now: what was under way has ended.
	l.holder.giveUpAll(ctx)
	return err
}

func (l *Loop) poll(ctx context.Context) {
	tick := time.NewTicker(l.interval)
	defer tick.Stop()
	policy := backoff.Policy{First: firstDelay, Max: maxDelay}
	failed := 0
	for {
		wait := tick.C
		if err := l.round(ctx); err != nil && ctx.Err() == nil {
			l.failures.Inc()
			failed++
			delay := policy.Delay(failed)
			l.log.Warn("work failed and is tried again", "error", err, "in", delay)
			wait = time.After(delay)
		} else {
			failed = 0
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return
		}
	}
}

// round visits every held bucket once.
func (l *Loop) round(ctx context.Context) error {
	var mu sync.Mutex
	var errs []error
	var g errgroup.Group
	g.SetLimit(maxParallel)
	for _, b := range l.Held() {
		g.Go(func() error {
			if err := l.visit(ctx, b); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("bucket %d: %w", b, err))
				mu.Unlock()
			}
			return nil
		})
	}
	_ = g.Wait()
	return errors.Join(errs...)
}

func (l *Loop) visit(ctx context.Context, bucket int64) error {
	for range maxRounds {
		if !l.holder.enter(bucket) {
			return nil
		}
		working, cancel := context.WithTimeout(ctx, workTimeout)
		more, err := l.work(working, bucket)
		cancel()
		l.holder.exit(bucket)
		if err != nil || !more {
			return err
		}
	}
	return nil
}
