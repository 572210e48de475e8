package flash

import "github.com/prometheus/client_golang/prometheus"

// metrics of the pod beyond those of its owners.
type metrics struct {
	refused  *prometheus.CounterVec
	forwards prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_flash_refused_early_total", Help: "Requests refused before they reached a partition, by reason."}, []string{"reason"}),
		forwards: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_flash_forwards_total", Help: "Calls to other pods."}),
	}
	registerer.MustRegister(m.refused, m.forwards)
	return m
}
