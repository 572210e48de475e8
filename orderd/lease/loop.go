package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

const (
	// DefaultTTL is how long a lease of a dead worker keeps its buckets from others.
	DefaultTTL = 6 * time.Second
	// DefaultInterval is how long new work waits at most before it is looked for.
	DefaultInterval = 250 * time.Millisecond

	// renewals a TTL: two may fail before the lease is lost.
	renewals = 3
	// maxRounds bounds one visit to a bucket, so that a bucket full of work does not keep the others waiting.
	maxRounds = 16
	// maxParallel buckets are worked on at once.
	maxParallel = 4
	// workTimeout bounds one call of Work.
	workTimeout = 30 * time.Second
	firstDelay  = 200 * time.Millisecond
	maxDelay    = 5 * time.Second
	// leaveTimeout bounds handing the leases over at the end.
	leaveTimeout = 2 * time.Second
)

// Work does some of a bucket's work, bounded, and tells whether there is more. The context ends when the worker stops.
type Work func(ctx context.Context, bucket int64) (more bool, err error)

// Options of a Loop. Kind, Worker, Pool, Clock, Logger and Work have to be set.
type Options struct {
	Pool *pgxpool.Pool
	// Kind names the work; its workers share its buckets.
	Kind string
	// Worker names this process among them: the pod's name.
	Worker string
	Work   Work
	// Interval between looks for new work; DefaultInterval if zero.
	Interval time.Duration
	// TTL of a lease; DefaultTTL if zero.
	TTL        time.Duration
	Clock      func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Loop leases buckets and works on them.
type Loop struct {
	pool          *pgxpool.Pool
	kind, worker  string
	work          Work
	interval, ttl time.Duration
	now           func() time.Time
	log           *slog.Logger
	failures      prometheus.Counter

	mu sync.Mutex
	// until is when each held bucket's lease ends for this worker: before it does in the table.
	until map[int64]time.Time
	busy  map[int64]bool
}

// NewLoop makes a loop; Run starts it. An error is the registerer's.
func NewLoop(o Options) (*Loop, error) {
	l := &Loop{
		pool: o.Pool, kind: o.Kind, worker: o.Worker, work: o.Work, interval: o.Interval, ttl: o.TTL, now: o.Clock,
		log:   o.Logger.With("work", o.Kind),
		until: map[int64]time.Time{}, busy: map[int64]bool{},
	}
	if l.interval <= 0 {
		l.interval = DefaultInterval
	}
	if l.ttl <= 0 {
		l.ttl = DefaultTTL
	}
	labels := prometheus.Labels{"work": o.Kind}
	l.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "orderd_work_failures_total", Help: "Rounds of background work that failed, by work.", ConstLabels: labels,
	})
	held := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_work_buckets", Help: "Buckets of background work that this pod leases, by work.", ConstLabels: labels,
	}, func() float64 { return float64(len(l.Held())) })
	if o.Registerer != nil {
		for _, c := range []prometheus.Collector{l.failures, held} {
			if err := o.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("registering the metrics of %s: %w", o.Kind, err)
			}
		}
	}
	return l, nil
}

// Held are the buckets this worker may work on now.
func (l *Loop) Held() []int64 {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []int64
	for b, until := range l.until {
		if now.Before(until) {
			out = append(out, b)
		}
	}
	slices.Sort(out)
	return out
}

// Run works until ctx ends, then gives the leases up and returns nil. It outlives outages of the database.
func (l *Loop) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { l.heartbeat(ctx); return nil })
	g.Go(func() error { l.poll(ctx); return nil })
	err := g.Wait()
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if lerr := l.leave(leaving, l.now()); lerr != nil {
		l.log.Warn("leases were not given up", "error", lerr)
	}
	return err
}

func (l *Loop) heartbeat(ctx context.Context) {
	tick := time.NewTicker(l.ttl / renewals)
	defer tick.Stop()
	for {
		beat, cancel := context.WithTimeout(ctx, l.ttl/renewals)
		if err := l.beat(beat); err != nil && ctx.Err() == nil {
			l.log.Warn("leases were not renewed", "error", err)
		}
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// beat renews what is held, gives up what is more than the fair share and takes what is free up to it.
func (l *Loop) beat(ctx context.Context) error {
	now := l.now()
	workers, err := l.announce(ctx, now)
	if err != nil {
		return err
	}
	fair := share(workers)
	keep, surplus := l.split(fair)
	if len(surplus) > 0 {
		if err := l.release(ctx, surplus); err != nil {
			return err
		}
	}
	kept, err := l.renew(ctx, now, keep)
	if err != nil {
		return err
	}
	l.hold(now, kept)
	if len(kept) >= fair {
		return nil
	}
	rows, err := l.list(ctx)
	if err != nil {
		return err
	}
	for _, b := range wanted(rows, l.worker, kept, now, fair-len(kept)) {
		got, err := l.take(ctx, now, b)
		if err != nil {
			return err
		}
		if got {
			l.hold(now, append(kept, b))
			kept = append(kept, b)
		}
	}
	return nil
}

// split takes idle buckets above the fair share out of what is held; a busy one stays until it is idle.
func (l *Loop) split(fair int) (keep, surplus []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for b := range l.until {
		keep = append(keep, b)
	}
	slices.Sort(keep)
	for i := len(keep) - 1; i >= 0 && len(keep) > fair; i-- {
		if b := keep[i]; !l.busy[b] {
			surplus = append(surplus, b)
			keep = slices.Delete(keep, i, i+1)
			delete(l.until, b)
		}
	}
	return keep, surplus
}

func (l *Loop) hold(now time.Time, buckets []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.until)
	for _, b := range buckets {
		// A renewal's time before the table's, for clocks that differ and calls that take long.
		l.until[b] = now.Add(l.ttl - l.ttl/renewals)
	}
}

func (l *Loop) poll(ctx context.Context) {
	tick := time.NewTicker(l.interval)
	defer tick.Stop()
	delay := time.Duration(0)
	for {
		wait := tick.C
		if err := l.round(ctx); err != nil && ctx.Err() == nil {
			l.failures.Inc()
			delay = min(max(2*delay, firstDelay), maxDelay)
			l.log.Warn("work failed and is tried again", "error", err, "in", delay)
			wait = time.After(delay)
		} else {
			delay = 0
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
		if !l.enter(bucket) {
			return nil
		}
		working, cancel := context.WithTimeout(ctx, workTimeout)
		more, err := l.work(working, bucket)
		cancel()
		l.exit(bucket)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (l *Loop) enter(bucket int64) bool {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if until, ok := l.until[bucket]; !ok || !now.Before(until) || l.busy[bucket] {
		return false
	}
	l.busy[bucket] = true
	return true
}

func (l *Loop) exit(bucket int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, bucket)
}
