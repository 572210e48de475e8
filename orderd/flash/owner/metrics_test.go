package owner_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/flash/owner"
)

func TestMetricsAreRegisteredOnce(t *testing.T) {
	registry := prometheus.NewRegistry()
	if _, err := owner.NewMetrics(registry); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.NewMetrics(registry); err == nil {
		t.Error("they are registered twice")
	}
	if m, err := owner.NewMetrics(nil); err != nil || m == nil {
		t.Errorf("without a registerer: %v, %v", m, err)
	}
}
