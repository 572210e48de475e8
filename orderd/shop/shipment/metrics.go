package shipment

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

type metrics struct {
	changes *prometheus.CounterVec
	pushes  *prometheus.CounterVec
	tracks  *prometheus.CounterVec
	gaveUp  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_shipment_changes_total", Help: "Changes of shipments, by event and carrier.",
		}, []string{"event", "carrier"}),
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_shipment_pushes_total",
			Help: "Carriers' pushes, by carrier and result (taken, refused, unknown, failed).",
		}, []string{"carrier", "result"}),
		tracks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_shipment_tracks_total", Help: "Answers to TrackShipment, by what they are (stored, fetched, stale).",
		}, []string{"answer"}),
		gaveUp: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_shipment_given_up_total", Help: "Work on shipments that was given up after many attempts, by work.",
		}, []string{"work"}),
	}
	return m, metric.Register(reg, "shipments", m.changes, m.pushes, m.tracks, m.gaveUp)
}

// count is called after the commit.
func (m *metrics) count(changes []change) {
	for _, c := range changes {
		m.changes.WithLabelValues(string(c.event), c.shipment.Carrier).Inc()
	}
}
