package flash

import "github.com/prometheus/client_golang/prometheus"

// metrics of the pod beyond those of its owners.
type metrics struct {
	refused  *prometheus.CounterVec
	forwards prometheus.Counter
	levels   *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_flash_refused_early_total", Help: "Requests refused before they reached a partition, by reason."}, []string{"reason"}),
		forwards: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_flash_forwards_total", Help: "Calls to other pods."}),
		levels: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_flash_levels_messages_total", Help: "Broadcasts of stock levels, by what became of them."}, []string{"outcome"}),
	}
	registerer.MustRegister(m.refused, m.forwards, m.levels)
	return m
}

// registerGauges shows how wrong the pod's clock is, 0 while that is not known, and what the pod believes to be sold out.
func registerGauges(registerer prometheus.Registerer, p *Pool) {
	skew := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_clock_skew_seconds", Help: "How far the pod's clock is ahead of the cluster's, at least; negative: behind.",
	}, func() float64 {
		skew, _ := p.skew()
		return skew.Seconds()
	})
	marks := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_flash_sold_out_items", Help: "Items that this pod refuses as sold out without asking their partitions.",
	}, func() float64 {
		now, _ := p.now()
		return float64(p.board.table.Marks(now))
	})
	registerer.MustRegister(skew, marks)
}
