package consume

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

type metrics struct {
	processed   *prometheus.CounterVec
	failures    *prometheus.CounterVec
	deadLetters prometheus.Counter
	held        prometheus.Counter
	delay       prometheus.Histogram
	batch       prometheus.Histogram
	pending     prometheus.Gauge
	unfinished  prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, consumer string) (*metrics, error) {
	labels := prometheus.Labels{"consumer": consumer}
	m := &metrics{
		processed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name:        "orderd_consumer_events_total",
			Help:        "Events by result: done, repeated (was done before) or ignored (of no use here).",
			ConstLabels: labels,
		}, []string{"result"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name:        "orderd_consumer_failures_total",
			Help:        "Attempts that failed, by kind: event (counts towards its dead letter) or outage.",
			ConstLabels: labels,
		}, []string{"kind"}),
		deadLetters: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_consumer_dead_letters_total", Help: "Events that became dead letters.", ConstLabels: labels,
		}),
		held: prometheus.NewCounter(prometheus.CounterOpts{
			Name:        "orderd_consumer_held_total",
			Help:        "Times that an event was put back because an earlier one of its order was not finished.",
			ConstLabels: labels,
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderd_consumer_delay_seconds", Help: "From a change of an order to its effect.", ConstLabels: labels,
			Buckets: []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400},
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:        "orderd_consumer_batch",
			Help:        "Events that a worker took at once.",
			ConstLabels: labels,
			Buckets:     prometheus.ExponentialBuckets(1, 2, 11),
		}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "orderd_consumer_pending", Help: "Events that no worker got yet.", ConstLabels: labels,
		}),
		unfinished: prometheus.NewGauge(prometheus.GaugeOpts{
			Name:        "orderd_consumer_unfinished",
			Help:        "Events that a worker has or that wait to be tried again.",
			ConstLabels: labels,
		}),
	}
	return m, metric.Register(reg, "consumer "+consumer,
		m.processed, m.failures, m.deadLetters, m.held, m.delay, m.batch, m.pending, m.unfinished)
}

// Results of an event.
const (
	resultDone     = "done"
	resultRepeated = "repeated"
	resultIgnored  = "ignored"
)

// Kinds of failures.
const (
	kindEvent  = "event"
	kindOutage = "outage"
)
