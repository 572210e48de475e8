package payment

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

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

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_payment_changes_total", Help: "Changes of payments' states, by event and provider.",
		}, []string{"event", "provider"}),
		notifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_payment_notifications_total", Help: "Notifications by provider and result (taken, refused, unknown, failed).",
		}, []string{"provider", "result"}),
		refunds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_payment_refunds_due_total", Help: "Payments whose money is due back, by reason.",
		}, []string{"reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_payment_notifications_refused_total", Help: "Notifications, and answers to polls, that were not believed, by provider and reason.",
		}, []string{"provider", "reason"}),
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_payment_polls_total", Help: "Questions to providers about payments, by provider and result (the provider's state, or failed).",
		}, []string{"provider", "result"}),
		refundChanges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_refund_changes_total", Help: "Changes of refunds' states, by event and provider.",
		}, []string{"event", "provider"}),
		differences: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_payment_differences_total", Help: "Differences between us and providers' statements, by provider and kind.",
		}, []string{"provider", "kind"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderd_payment_notification_batch", Help: "Notifications taken by one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 8),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.changes, m.notifications, m.refunds, m.refused, m.polls, m.refundChanges, m.differences, m.batch} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of payments: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) count(changes []change) {
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
