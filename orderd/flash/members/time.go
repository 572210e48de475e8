package members

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/flash/clock"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

// maxSkew is [Options].MaxSkew unless it is set.
const maxSkew = 500 * time.Millisecond

// Errors of [Members.Ready].
var (
	ErrNoTime = errors.New("the cluster's time is not known yet")
	ErrSkewed = errors.New("the pod's clock is wrong")
)

// clusterTime is the cluster's clock beside the pod's own.
type clusterTime struct {
	cluster clock.Clock
	own     func() time.Time
	// fixed, if set, is the cluster's clock of a test.
	fixed   func() time.Time
	maxSkew time.Duration
	// started is where elapsed counts from.
	started time.Time
}

func newClusterTime(options Options) (*clusterTime, error) {
	t := &clusterTime{
		own: options.Clock, fixed: options.ClusterClock, maxSkew: options.MaxSkew, started: options.Clock(),
	}
	if t.maxSkew == 0 {
		t.maxSkew = maxSkew
	}
	skew := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_clock_skew_seconds",
		Help: "How far the pod's clock is ahead of the cluster's, at least; negative: behind.",
	}, func() float64 {
		skew, _ := t.skew()
		return skew.Seconds()
	})
	return t, metric.Register(options.Registerer, "the members", skew)
}

// elapsed is a reading of the pod's monotonic clock.
func (t *clusterTime) elapsed() time.Duration { return t.own().Sub(t.started) }

func (t *clusterTime) now() (time.Time, bool) {
	if t.fixed != nil {
		return t.fixed(), true
	}
	return t.cluster.Now(t.elapsed())
}

// skew is how far the pod's clock is ahead of the cluster's for certain, negative if it is behind;
// false while that is not known.
func (t *clusterTime) skew() (time.Duration, bool) {
	wall := t.own()
	return t.cluster.Skew(wall.Sub(t.started), wall)
}

func (t *clusterTime) check() error {
	if t.fixed != nil {
		return nil
	}
	skew, ok := t.skew()
	switch {
	case !ok:
		return ErrNoTime
	case skew.Abs() > t.maxSkew:
		return fmt.Errorf("%w: %s ahead of the cluster's, allowed are %s",
			ErrSkewed, skew.Round(time.Millisecond), t.maxSkew)
	}
	return nil
}
