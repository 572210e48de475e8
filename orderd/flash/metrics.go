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

// registerClock shows how wrong the pod's clock is; 0 while that is not known.
func registerClock(registerer prometheus.Registerer, p *Pool) {
	registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_clock_skew_seconds", Help: "How far the pod's clock is ahead of the cluster's, at least; negative: behind.",
	}, func() float64 {
		skew, _ := p.skew()
		return skew.Seconds()
	}))
}
