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
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderd_payment_notification_batch", Help: "Notifications taken by one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 8),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.changes, m.notifications, m.refunds, m.batch} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of payments: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) count(changes []change) {
	for _, c := range changes {
		m.changes.WithLabelValues(string(c.event), c.payment.Provider).Inc()
	}
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
