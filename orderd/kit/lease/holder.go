package lease

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

const (
	// DefaultTTL is how long a lease of a dead worker keeps its buckets from others.
	DefaultTTL = 6 * time.Second

	// renewals a TTL: two may fail before the lease is lost.
	renewals = 3
	// leaveTimeout bounds giving the leases up at the end.
	leaveTimeout = 2 * time.Second
)

// HolderOptions of a [Holder]. Pool, Kind, Worker, Clock and Logger have to be set.
type HolderOptions struct {
	Pool *pgxpool.Pool
	// Kind names the work; its workers share its buckets.
	Kind string
	// Worker names this process among them: the pod's name.
	Worker string
	// TTL of a lease; [DefaultTTL] if zero.
	TTL        time.Duration
	Clock      func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Holder leases buckets: it announces its worker, takes its fair share of the buckets that are
// free, renews what it has and gives up what is more. What is done with the buckets is the
// caller's, who asks [Holder.Held] before each piece of work; a [Loop] is a holder that works by
// itself.
type Holder struct {
	pool         *pgxpool.Pool
	kind, worker string
	ttl          time.Duration
	now          func() time.Time
	log          *slog.Logger

	// mu guards what follows.
	mu sync.Mutex
	// until is when each bucket's lease ends for this worker: before it does in the table.
	until map[int64]time.Time
	// busy are the buckets that are worked on. They are not given up.
	busy map[int64]bool
}

// NewHolder makes a holder; Run starts it. An error is the registerer's.
func NewHolder(o HolderOptions) (*Holder, error) {
	h := &Holder{
		pool: o.Pool, kind: o.Kind, worker: o.Worker, ttl: o.TTL, now: o.Clock, log: o.Logger.With("work", o.Kind),
		until: map[int64]time.Time{}, busy: map[int64]bool{},
	}
	if h.ttl <= 0 {
		h.ttl = DefaultTTL
	}
	held := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_work_buckets", Help: "Buckets of background work that this pod leases, by work.",
		ConstLabels: prometheus.Labels{"work": o.Kind},
	}, func() float64 { return float64(len(h.Held())) })
	return h, metric.Register(o.Registerer, o.Kind, held)
}

// Held are the buckets this worker may work on now.
func (h *Holder) Held() []int64 {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []int64
	for b, until := range h.until {
		if now.Before(until) {
			out = append(out, b)
		}
	}
	slices.Sort(out)
	return out
}

// Run leases until ctx ends, then gives the leases up and returns nil. It outlives outages of the
// database.
func (h *Holder) Run(ctx context.Context) error {
	h.heartbeat(ctx)
	h.giveUpAll(ctx)
	return nil
}

func (h *Holder) heartbeat(ctx context.Context) {
	tick := time.NewTicker(h.ttl / renewals)
	defer tick.Stop()
	for {
		beat, cancel := context.WithTimeout(ctx, h.ttl/renewals)
		if err := h.beat(beat); err != nil && ctx.Err() == nil {
			h.log.Warn("leases were not renewed", "error", err)
		}
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// giveUpAll gives the leases up although ctx has ended. The worker stops believing in them first.
func (h *Holder) giveUpAll(ctx context.Context) {
	h.believe(h.now(), nil)
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if err := h.leave(leaving, h.now()); err != nil {
		h.log.Warn("leases were not given up", "error", err)
	}
}

// beat renews what is held, gives up what is more than the fair share and leases what is free up to
// it.
func (h *Holder) beat(ctx context.Context) error {
	now := h.now()
	workers, err := h.announce(ctx, now)
	if err != nil {
		return err
	}
	fair := share(workers)
	keep, surplus := h.split(fair)
	if len(surplus) > 0 {
		if err := h.giveUp(ctx, surplus); err != nil {
			return err
		}
	}
	kept, err := h.renew(ctx, now, keep)
	if err != nil {
		return err
	}
	h.believe(now, kept)
	if len(kept) >= fair {
		return nil
	}
	rows, err := h.list(ctx)
	if err != nil {
		return err
	}
	for _, b := range wanted(rows, h.worker, kept, now, fair-len(kept)) {
		got, err := h.acquire(ctx, now, b)
		if err != nil {
			return err
		}
		if got {
			kept = append(kept, b)
			h.believe(now, kept)
		}
	}
	return nil
}

// split takes idle buckets above the fair share out of what is held; a busy one stays until it is
// idle.
func (h *Holder) split(fair int) (keep, surplus []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for b := range h.until {
		keep = append(keep, b)
	}
	slices.Sort(keep)
	for i := len(keep) - 1; i >= 0 && len(keep) > fair; i-- {
		if b := keep[i]; !h.busy[b] {
			surplus = append(surplus, b)
			keep = slices.Delete(keep, i, i+1)
			delete(h.until, b)
		}
	}
	return keep, surplus
}

// believe notes which buckets are leased since now.
func (h *Holder) believe(now time.Time, buckets []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.until)
	for _, b := range buckets {
		// A renewal's time before the table's, for clocks that differ and calls that take long.
		h.until[b] = now.Add(h.ttl - h.ttl/renewals)
	}
}

// enter marks a bucket as worked on, unless it is already, or is not held.
func (h *Holder) enter(bucket int64) bool {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if until, ok := h.until[bucket]; !ok || !now.Before(until) || h.busy[bucket] {
		return false
	}
	h.busy[bucket] = true
	return true
}

// exit ends what enter began.
func (h *Holder) exit(bucket int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.busy, bucket)
}
