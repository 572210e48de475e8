package ordercluster

import (
	"context"
	"time"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// checkClock finds out what time it is by JetStream's clock, by which sales go, and how far the operator's own is from
// it. It comes after messaging was checked, which measures it.
func (r *Reconciler) checkClock(ctx context.Context, s *scope) error {
	const condition = v1alpha1.ConditionClockInSync
	ask := func(ctx context.Context) (time.Time, error) { return r.Backends.ServerTime(ctx, s.cluster) }
	if r.ServerTime != nil {
		ask = r.ServerTime
	}
	now, err := ask(ctx)
	if s.saleNow = s.now; err == nil {
		s.saleNow, s.clocked = now, true
	}
	skew, known := r.Backends.ClockSkew(ctx, s.cluster, r.Clock())
	limit := s.cluster.MaxClockSkew()
	switch {
	case !known:
		s.report.Unknown(condition, v1alpha1.ReasonClockUnknown, "JetStream's clock is not known")
	case skew.Abs() <= limit:
		const message = "the operator's clock is within %s of JetStream's"
		was := s.report.Get(condition)
		if s.report.True(condition, v1alpha1.ReasonInSync, message, limit) && was != nil &&
			was.Reason == v1alpha1.ReasonClockSkewed {
			s.report.Normal(v1alpha1.ReasonInSync, "ReadClock", message+" again", limit)
		}
	default:
		way := "ahead of"
		if skew < 0 {
			way = "behind"
		}
		const message = "the operator's clock is %s %s JetStream's: the time of its node, or of the NATS servers, is wrong;" +
			" sales go by JetStream's"
		// Rounded, so that the status is not written each time.
		args := []any{skew.Abs().Round(max(limit, time.Second)), way}
		if was := s.report.Get(condition); was == nil || was.Reason != v1alpha1.ReasonClockSkewed {
			s.report.Warning(v1alpha1.ReasonClockSkewed, "ReadClock", message, args...)
		}
		s.report.False(condition, v1alpha1.ReasonClockSkewed, message, args...)
	}
	return nil
}
