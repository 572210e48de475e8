package owner

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Metrics of all of a pod's owners.
type Metrics struct {
	accepted      prometheus.Counter
	refused       *prometheus.CounterVec
	appendSeconds prometheus.Histogram
	batchSize     prometheus.Histogram
	owned         prometheus.Gauge
	reservations  prometheus.Gauge
	resyncs       prometheus.Counter
	transfers     *prometheus.CounterVec
}

// NewMetrics registers the metrics; with a nil registerer nobody reads them. An error is that they
// are registered already.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	m := newMetrics()
	return m, metric.Register(registerer, "partitions' owners",
		m.accepted, m.refused, m.appendSeconds, m.batchSize, m.owned, m.reservations, m.resyncs, m.transfers)
}

func newMetrics() *Metrics {
	return &Metrics{
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_flash_accepted_total",
			Help: "Requests answered with an order, retries included, by the partition's owner.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_flash_refused_total",
			Help: "Requests refused by the partition's owner, by reason.",
		}, []string{"reason"}),
		appendSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderd_flash_append_seconds", Help: "Time of an append to a partition's log.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2, 14),
		}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderd_flash_batch_orders", Help: "Orders in one append.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		owned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "orderd_flash_partitions_owned", Help: "Partitions that this pod takes over or serves.",
		}),
		reservations: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "orderd_flash_reservations",
			Help: "Reservations in the memory of the pod's partitions, released ones too.",
		}),
		resyncs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_flash_resyncs_total",
			Help: "Times a partition's log was read again after a refused append or an unknown outcome.",
		}),
		transfers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_flash_transfers_total", Help: "Questions for stock to other shards, by outcome.",
		}, []string{"outcome"}),
	}
}

// refuse counts so many requests that are refused for the same reason.
func (m *Metrics) refuse(err error, requests int) {
	if requests > 0 {
		m.refused.WithLabelValues(rpcerr.Reason(err)).Add(float64(requests))
	}
}
