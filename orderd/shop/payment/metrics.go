package payment

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

// metrics are what the package measures.
type metrics struct {
	changes       *prometheus.CounterVec
	notifications *prometheus.CounterVec
	refunds       *prometheus.CounterVec
	refused       *prometheus.CounterVec
	polls         *prometheus.CounterVec
	refundChanges *prometheus.CounterVec
	differences   *prometheus.CounterVec
	batch         prometheus.Histogram
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		changes: counter("orderd_payment_changes_total",
			"Changes of payments' states, by event and provider.", "event", "provider"),
		notifications: counter("orderd_payment_notifications_total",
			"Notifications by provider and result (taken, refused, unknown, failed).", "provider", "result"),
		refunds: counter("orderd_payment_refunds_due_total",
			"Payments whose money is due back, by reason.", "reason"),
		refused: counter("orderd_payment_notifications_refused_total",
			"Notifications, and answers to polls, that were not believed, by provider and reason.",
			"provider", "reason"),
		polls: counter("orderd_payment_polls_total",
			"Questions to providers about payments, by provider and result (the provider's state, or failed).",
			"provider", "result"),
		refundChanges: counter("orderd_refund_changes_total",
			"Changes of refunds' states, by event and provider.", "event", "provider"),
		differences: counter("orderd_payment_differences_total",
			"Differences between us and providers' statements, by provider and kind.", "provider", "kind"),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderd_payment_notification_batch", Help: "Notifications taken by one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 8),
		}),
	}
	err := metric.Register(registerer, "payments",
		m.changes, m.notifications, m.refunds, m.refused, m.polls, m.refundChanges, m.differences, m.batch)
	return m, err
}

func (m *metrics) count(changes ...change) {
	for _, c := range changes {
		m.changes.WithLabelValues(string(c.event), c.provider).Inc()
	}
}

func (m *metrics) countRefund(c change) {
	m.refundChanges.WithLabelValues(string(c.event), c.provider).Inc()
}

func (m *metrics) notified(provider string, err error) {
	var refused *NotificationError
	result := "failed"
	switch {
	case err == nil:
		result = "taken"
	case errors.As(err, &refused):
		result = "refused"
	case errors.Is(err, ErrUnknownPayment):
		result = "unknown"
	}
	m.notifications.WithLabelValues(provider, result).Inc()
}
