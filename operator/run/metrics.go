package run

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/orderd-dev/orderd/operator/promotionevent"
)

// metricsServer is where /metrics is served, and for whom.
func (o Options) metricsServer() metricsserver.Options {
	m := metricsserver.Options{BindAddress: o.MetricsAddress}
	if o.MetricsSecure {
		m.SecureServing, m.FilterProvider = true, readers
	}
	return m
}

// export adds the operator's own metrics to those of controller-runtime. The registry is the process's,
// and a process of tests runs several operators: unregister takes them out again.
func export(mgr ctrl.Manager, o Options) (unregister func(), err error) {
	var registered []prometheus.Collector
	unregister = func() {
		for _, c := range registered {
			metrics.Registry.Unregister(c)
		}
	}
	promotions := promotionevent.NewCollector(mgr.GetCache(), o.Clock, o.Log)
	for _, c := range []prometheus.Collector{leading{promotions, mgr.Elected()}, info(o.Version)} {
		if err := metrics.Registry.Register(c); err != nil {
			unregister()
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
		registered = append(registered, c)
	}
	return unregister, nil
}

// leading exports something only while this operator is the one that works: the others would export the
// same once more.
type leading struct {
	prometheus.Collector
	elected <-chan struct{}
}

// Collect implements prometheus.Collector.
func (l leading) Collect(ch chan<- prometheus.Metric) {
	select {
	case <-l.elected:
		l.Collector.Collect(ch)
	default:
	}
}

// info is a metric that says which version runs.
func info(version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_operator_info", Help: "1, labelled with the operator's version.",
		ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
}
