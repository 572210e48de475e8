package lease

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// WorkerOptions are what every domain's background work takes: a domain's own options have them
// beside what it works on. Worker and Logger have to be set.
type WorkerOptions struct {
	// Worker names this process among the live workers: the pod's name.
	Worker string
	// Interval between looks for new work; the work's own if zero.
	Interval time.Duration
	// TTL of a lease; [DefaultTTL] if zero.
	TTL        time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Job is background work of one kind.
type Job struct {
	// Kind names the work; its workers share its buckets.
	Kind string
	// Interval between looks for new work where the worker's options do not say; [DefaultInterval]
	// if zero.
	Interval time.Duration
	Work     Work
}

// NewLoop makes a loop that does the job on a database, by a domain's clock.
func (o WorkerOptions) NewLoop(pool *pgxpool.Pool, clock func() time.Time, job Job) (*Loop, error) {
	if o.Interval > 0 {
		job.Interval = o.Interval
	}
	return NewLoop(Options{
		Pool: pool, Kind: job.Kind, Worker: o.Worker, Work: job.Work, Interval: job.Interval, TTL: o.TTL,
		Clock: clock, Logger: o.Logger, Registerer: o.Registerer,
	})
}
