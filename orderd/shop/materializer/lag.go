package materializer

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

const (
	// lagInterval is how often the server is asked what is left of a stream, before jitter.
	lagInterval = 10 * time.Second
	lagTimeout  = 5 * time.Second
)

type metrics struct {
	written    prometheus.Counter
	failures   prometheus.Counter
	unwritable prometheus.Counter
	unreadable prometheus.Counter
	misfit     *prometheus.CounterVec
	delay      prometheus.Histogram
	// pending and oldest are of the whole stream, not of this worker's part: each
	// worker has the same.
	pending *prometheus.GaugeVec
	oldest  *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	labels := []string{"promotion", "stream"}
	m := &metrics{
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_flash_materialized_total", Help: "Flash orders committed to the database, repetitions included."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_flash_materialize_failures_total", Help: "Attempts that failed and were made again."}),
		unwritable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_flash_unwritable_total",
			Help: "Accepted orders that the database refused for good: dead letters, whose stock goes back.",
		}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_flash_unreadable_records_total",
			Help: "Records that cannot be read: dead letters, whose orders are lost to the database.",
		}),
		misfit: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_flash_misfit_orders_total",
			Help: "Orders in a log that do not fit their promotion, by the field that does not: dead letters, whose stock " +
				"goes back.",
		}, []string{"field"}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "orderd_flash_materialize_delay_seconds",
			Help:    "Time from an order's acceptance to its commit.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 18),
		}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orderd_flash_materialize_pending_records",
			Help: "Records of a promotion's stream that are not materialized; every worker has the same.",
		}, labels),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orderd_flash_materialize_oldest_seconds",
			Help: "Age of the oldest record of a promotion's stream that is not materialized; 0: none. " +
				"Every worker has the same.",
		}, labels),
	}
	return m, metric.Register(reg, "the materializer",
		m.written, m.failures, m.unwritable, m.unreadable, m.misfit, m.delay, m.pending, m.oldest)
}

// watchLag brings the stream's gauges up to date until ctx ends, and removes them then.
func (s *stream) watchLag(ctx context.Context) {
	labels := prometheus.Labels{"promotion": s.promo.GetName(), "stream": s.name}
	defer s.pending.Delete(labels)
	defer s.oldest.Delete(labels)
	for ctx.Err() == nil {
		pending, age, err := s.lag(ctx)
		if err == nil {
			s.pending.With(labels).Set(float64(pending))
			s.oldest.With(labels).Set(age.Seconds())
		} else if ctx.Err() == nil {
			s.log.Debug("the lag is not known", "stream", s.name, "error", err)
		}
		_ = backoff.Wait(ctx, s.random.Jitter(lagInterval)) // The loop ends with ctx.
	}
}

// lag is how many records are not acknowledged, and how old the first of them is. It costs one
// question, and one more while there are some.
func (s *stream) lag(ctx context.Context) (records uint64, age time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	consumer, err := s.options.JetStream.Consumer(ctx, s.name, prepare.MaterializerConsumer)
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the consumer of stream %s: %w", s.name, err)
	}
	info := consumer.CachedInfo()
	records = info.NumPending + uint64(max(0, info.NumAckPending))
	if records == 0 {
		return 0, 0, nil
	}
	at, err := s.storedAt(ctx, info)
	if err != nil {
		return 0, 0, err
	}
	return records, max(0, s.options.Clock().Sub(at)), nil
}

func (s *stream) storedAt(ctx context.Context, info *jetstream.ConsumerInfo) (time.Time, error) {
	stream, err := s.options.JetStream.Stream(ctx, s.name)
	if err != nil {
		return time.Time{}, fmt.Errorf("finding stream %s: %w", s.name, err)
	}
	oldest, err := stream.GetMsg(ctx, info.AckFloor.Stream+1)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the oldest record of stream %s: %w", s.name, err)
	}
	return oldest.Time, nil
}
