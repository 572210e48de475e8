package order

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

type metrics struct {
	changes  *prometheus.CounterVec
	refused  *prometheus.CounterVec
	late     *prometheus.CounterVec
	releases *prometheus.CounterVec
	lane     *prometheus.CounterVec
	expiry   prometheus.Histogram
	batch    prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_order_changes_total", Help: "Changes of orders' states, by event and lane (standard, flash).",
		}, []string{"event", "lane"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_order_refused_total", Help: "Orders of the standard lane that were refused, by reason.",
		}, []string{"reason"}),
		late: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_order_surplus_payments_total",
			Help: "Payments for orders that were not waiting for one, by what became of them.",
		}, []string{"outcome"}),
		releases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_order_releases_total",
			Help: "Flash orders whose stock went back, by outcome (RELEASED into the sale, CREDITED to stock, failed).",
		}, []string{"outcome"}),
		lane: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_order_lane_lookups_total",
			Help: "Orders that were looked for in the flash lane because the database did not have them, " +
				"by outcome (found, absent, failed, refused).",
		}, []string{"outcome"}),
		expiry: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderd_order_expiry_delay_seconds", Help: "How long after their time unpaid orders were cancelled.",
			Buckets: []float64{0.5, 1, 2, 5, 10, 30, 60, 300, 1800},
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderd_order_placing_batch", Help: "Orders of the standard lane taken by one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
	}
	return m, metric.Register(reg, "orders", m.changes, m.refused, m.late, m.releases, m.lane, m.expiry, m.batch)
}

func (m *metrics) placing(orders int) { m.batch.Observe(float64(orders)) }

// count counts changes that are committed.
func (m *metrics) count(changes []change) {
	for _, c := range changes {
		lane := "standard"
		if c.order.flash() {
			lane = "flash"
		}
		m.changes.WithLabelValues(string(c.event), lane).Inc()
	}
}

// countSurplus counts the payments that made no order PAID.
func (m *metrics) countSurplus(outcomes []PaymentOutcome) {
	for _, o := range outcomes {
		if o != Applied {
			m.late.WithLabelValues(string(o)).Inc()
		}
	}
}

// observeExpiry notes how long after their time to pay orders were cancelled.
func (m *metrics) observeExpiry(expired []change, at time.Time) {
	for _, c := range expired {
		m.expiry.Observe(at.Sub(c.order.ExpiresAt).Seconds())
	}
}
