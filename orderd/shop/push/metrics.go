package push

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

type metrics struct {
	results *prometheus.CounterVec
	seconds prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, open func() bool) (*metrics, error) {
	m := &metrics{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_push_notifications_total",
			Help: "Notifications by result: delivered, refused (for good), away (the gateway is away or busy), failed, muted.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "orderd_push_duration_seconds",
			Help:    "Time for the push gateway to answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
	}
	breaker := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_push_breaker_open", Help: "1 while nothing is sent to the push gateway because it has failed.",
	}, func() float64 {
		if open() {
			return 1
		}
		return 0
	})
	return m, metric.Register(reg, "the push gateway", m.results, m.seconds, breaker)
}

func result(err error) string {
	switch {
	case err == nil:
		return "delivered"
	case consume.IsPermanent(err):
		return "refused"
	case consume.IsLater(err):
		return "away"
	}
	return "failed"
}
