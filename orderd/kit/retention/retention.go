// Package retention removes rows that have done their work: request ids that nobody repeats any
// more, notifications as they came, and old entries of the audit. It walks a table's primary key, a page
// at a time, so that no table needs an index by age, which every insert would pay for; the audit's key begins
// with the time. The inbox of consumed events is
// kit/consume's to sweep, and published events are kit/outbox's.
package retention

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

const (
	// DefaultRequests is how long a mutation can be repeated with its request id.
	DefaultRequests = 30 * 24 * time.Hour
	// DefaultNotifications is how long what providers have told is kept as it came.
	DefaultNotifications = 180 * 24 * time.Hour
	// DefaultAudit is how long it is known who changed and read what: a year, and time to look into it.
	DefaultAudit = 400 * 24 * time.Hour

	// page is how many rows are looked at by one statement, and removed by the next at most.
	page = 1000
	// interval is between looks for a table whose time has come, and pause between
	// two walks through it.
	interval = 10 * time.Second
	pause    = time.Hour
)

// Options of a Cleaner. Pool, Worker, Clock and Logger have to be set.
type Options struct {
	Pool *pgxpool.Pool
	// Worker names this process among the live workers: the pod's name.
	Worker string
	// Requests, Notifications and Audit are how long rows are kept; the defaults if zero.
	Requests, Notifications, Audit time.Duration
	// Interval between looks for new work, and TTL of a lease; sensible ones if zero.
	Interval, TTL time.Duration
	Clock         func() time.Time
	Logger        *slog.Logger
	Registerer    prometheus.Registerer
}

// table is one whose rows grow old. Its primary key has two columns of text.
type table struct {
	name          string
	first, second string
	// at is when a row was written.
	at   string
	keep time.Duration
}

// place is how far a walk has come.
type place struct {
	first, second string
	// next is when the next walk begins; this one is over if it lies ahead.
	next time.Time
}

// Cleaner removes old rows.
type Cleaner struct {
	pool    *pgxpool.Pool
	tables  []table
	audit   time.Duration
	now     func() time.Time
	loop    *lease.Loop
	removed *prometheus.CounterVec

	mu sync.Mutex
	// places by table. Another worker's walk begins at the start.
	places map[string]place
}

// New makes a cleaner; Run starts it. An error is the registerer's.
func New(o Options) (*Cleaner, error) {
	if o.Requests <= 0 {
		o.Requests = DefaultRequests
	}
	if o.Notifications <= 0 {
		o.Notifications = DefaultNotifications
	}
	if o.Interval <= 0 {
		o.Interval = interval
	}
	if o.Audit <= 0 {
		o.Audit = DefaultAudit
	}
	c := &Cleaner{
		pool: o.Pool, audit: o.Audit, now: o.Clock, places: map[string]place{},
		tables: []table{
			{name: "requests", first: "scope", second: "request_id", at: "created_at", keep: o.Requests},
			{
				name:   "payment_notifications",
				first:  "provider",
				second: "transaction_id",
				at:     "received_at",
				keep:   o.Notifications,
			},
		},
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_retention_removed_total", Help: "Rows that were removed because they were old, by table.",
		}, []string{"table"}),
	}
	if err := metric.Register(o.Registerer, "retention", c.removed); err != nil {
		return nil, err
	}
	var err error
	c.loop, err = lease.NewLoop(lease.Options{
		Pool: o.Pool, Kind: "retention", Worker: o.Worker, Work: c.work, Interval: o.Interval, TTL: o.TTL,
		Clock: o.Clock, Logger: o.Logger, Registerer: o.Registerer,
	})
	return c, err
}

// Run removes old rows until ctx ends and returns nil.
func (c *Cleaner) Run(ctx context.Context) error { return c.loop.Run(ctx) }

// work looks at one page of the bucket's table.
func (c *Cleaner) work(ctx context.Context, bucket int64) (bool, error) {
	if bucket == int64(len(c.tables)) {
		return c.removeAudit(ctx, c.now().Add(-c.audit))
	}
	if bucket > int64(len(c.tables)) {
		return false, nil
	}
	t, now := c.tables[bucket], c.now()
	at := c.place(t)
	if now.Before(at.next) {
		return false, nil
	}
	found, err := c.look(ctx, t, at, now.Add(-t.keep))
	if err != nil {
		return false, err
	}
	if err := c.remove(ctx, t, found); err != nil {
		return false, err
	}
	at.first, at.second = found.first, found.second
	full := found.read == page
	if !full {
		at = place{next: now.Add(pause)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places[t.name] = at
	return full, nil
}

func (c *Cleaner) place(t table) place {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.places[t.name]
}
