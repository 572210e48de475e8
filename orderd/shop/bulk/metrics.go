package bulk

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

type metrics struct {
	rows    *prometheus.CounterVec
	retries prometheus.Counter

	mu sync.Mutex
	// oldest running job of each bucket that this pod has looked at; zero if there is none.
	oldest map[int64]time.Time
}

// newMetrics registers what is measured. held are the buckets that this pod works on now.
func newMetrics(reg prometheus.Registerer, now func() time.Time, held func() []int64) (*metrics, error) {
	m := &metrics{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_bulk_rows_total",
			Help: "Rows of staff's files that were answered, dry runs too, by kind and result (DONE, FAILED).",
		}, []string{"kind", "result"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_bulk_retries_total", Help: "Rows of staff's files that met a failure that passes.",
		}),
		oldest: map[int64]time.Time{},
	}
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_bulk_oldest_row_seconds",
		Help: "How long ago the oldest of the files was uploaded of which rows are left, of those that this pod works on.",
	}, func() float64 { return m.age(now(), held()).Seconds() })
	return m, metric.Register(reg, "bulk jobs", m.rows, m.retries, age)
}

func (m *metrics) saw(bucket int64, oldest time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.oldest[bucket] = oldest
}

func (m *metrics) age(now time.Time, held []int64) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var age time.Duration
	for _, b := range held {
		if at := m.oldest[b]; !at.IsZero() {
			age = max(age, now.Sub(at))
		}
	}
	return age
}
