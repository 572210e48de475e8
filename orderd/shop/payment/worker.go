package payment

import (
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
)

// WorkerOptions are what the payment package's background work takes. Service, Worker and Logger
// have to be set.
type WorkerOptions struct {
	lease.WorkerOptions

	Service *Service
}

func (o WorkerOptions) loop(kind string, interval time.Duration, work lease.Work) (*lease.Loop, error) {
	return o.NewLoop(o.Service.pool, o.Service.now, lease.Job{Kind: kind, Interval: interval, Work: work})
}
