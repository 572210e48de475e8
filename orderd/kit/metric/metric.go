// Package metric is the one way in which orderd's parts register what they measure.
package metric

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Register adds the collectors of one part, which what names ("carrier dhl"), to a registerer. A
// nil registerer means that nobody reads them: nothing is registered. An error is that a collector
// of the same name is there already, which is a mistake of whoever composes the parts.
func Register(registerer prometheus.Registerer, what string, collectors ...prometheus.Collector) error {
	if registerer == nil {
		return nil
	}
	for _, c := range collectors {
		if err := registerer.Register(c); err != nil {
			return fmt.Errorf("registering the metrics of %s: %w", what, err)
		}
	}
	return nil
}
