package metric_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

func counter(name string) prometheus.Collector {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: "A counter."})
}

func TestRegister(t *testing.T) {
	if err := metric.Register(nil, "nothing", counter("a"), counter("a")); err != nil {
		t.Errorf("without a registerer: %v", err)
	}
	registry := prometheus.NewRegistry()
	if err := metric.Register(registry, "two counters", counter("a"), counter("b")); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 2 {
		t.Errorf("%d families are registered, want 2 (%v)", len(families), err)
	}
	if err := metric.Register(registry, "the carrier", counter("a")); err == nil ||
		!strings.Contains(err.Error(), "the carrier") {
		t.Errorf("registering a name again: %v, want an error that names the part", err)
	}
}
