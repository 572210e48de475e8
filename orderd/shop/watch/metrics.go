package watch

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

// What is watched.
const (
	ofOrder = "order"
	ofBuyer = "buyer"
)

type metrics struct {
	watchers *prometheus.GaugeVec
	sent     *prometheus.CounterVec
	missed   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		watchers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orderd_watch_watchers", Help: "Streams that wait for changes, by what of (order, buyer).",
		}, []string{"of"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_watch_sent_total", Help: "Orders that were sent to watchers, by what these watch (order, buyer).",
		}, []string{"of"}),
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_watch_missed_total",
			Help: "How often a pod may have missed events, so that its watchers were told to look anew.",
		}),
	}
	return m, metric.Register(reg, "watchers", m.watchers, m.sent, m.missed)
}

// Sent counts an order that was sent to the watcher.
func (w *Order) Sent() { w.hub.metrics.sent.WithLabelValues(ofOrder).Inc() }

// Sent counts an order that was sent to the watcher.
func (w *Buyer) Sent() { w.hub.metrics.sent.WithLabelValues(ofBuyer).Inc() }
