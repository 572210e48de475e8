package payment

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/lease"
)

// WorkerOptions are what the payment package's background work takes. Service, Worker and Logger have to be set.
type WorkerOptions struct {
	Service *Service
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
		Pool: o.Service.pool, Kind: kind, Worker: o.Worker, Work: work, Interval: interval, TTL: o.TTL,
		Clock: o.Service.now, Logger: o.Logger, Registerer: o.Registerer,
	})
}
