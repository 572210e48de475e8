package outbox

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

type metrics struct {
	published *prometheus.CounterVec
	failed    prometheus.Counter
	delay     prometheus.Histogram
	waiting   prometheus.Gauge
	oldest    prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_outbox_published_total", Help: "Events that JetStream acknowledged, by event.",
		}, []string{"event"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_outbox_failures_total", Help: "Attempts to publish an event that were not acknowledged.",
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderd_outbox_delay_seconds", Help: "From an event's commit to its acknowledgement.",
			Buckets: []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "orderd_outbox_waiting", Help: "Unpublished events in the buckets that this pod leases, up to 100000.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "orderd_outbox_oldest_seconds", Help: "Age of the oldest of them.",
		}),
	}
	return m, metric.Register(reg, "the outbox", m.published, m.failed, m.delay, m.waiting, m.oldest)
}
