package promotionevent

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// unclockedInterval is how often JetStream's clock is asked for at least while it is not known: how soon something is
// due cannot be told meanwhile.
const unclockedInterval = 30 * time.Second

// readClock finds out what time it is by the clock that the pods open and close the sale by: JetStream's. This
// reconcile goes by it, whatever the operator's own says.
func (r *Reconciler) readClock(ctx context.Context, s *scope) (bool, error) {
	if s.found == nil {
		// There is no JetStream to ask, and nothing can be taken without it either.
		return false, nil
	}
	ask := func(ctx context.Context) (time.Time, error) { return r.Backends.ServerTime(ctx, s.found) }
	if r.ServerTime != nil {
		ask = r.ServerTime
	}
	now, err := ask(ctx)
	if err != nil {
		s.unclocked = fmt.Sprintf("it is not known what time it is by JetStream's clock, by which the sale goes: %s", err)
		s.within(unclockedInterval)
		return false, nil
	}
	s.now = now
	s.report.At(now)
	return false, nil
}

// awaitClock stops here while the time is not known: nothing is taken, opened, closed or removed then. What is settled
// has only its log, see retain.
func (r *Reconciler) awaitClock(_ context.Context, s *scope) (bool, error) {
	if s.unclocked == "" || s.settled() {
		return false, nil
	}
	for _, condition := range []string{v1alpha1.ConditionStockAllocated, v1alpha1.ConditionPartitionsOpen} {
		// What was found out before is still so, and says more.
		before := s.report.Before(condition)
		new := before == nil || before.Reason == v1alpha1.ReasonScheduled || before.Reason == v1alpha1.ReasonClockUnknown
		if new && !s.report.Is(condition) && s.promotion.Status.ClosedTime.IsZero() {
			s.report.False(condition, v1alpha1.ReasonClockUnknown, "%s", s.unclocked)
		}
	}
	if s.before.Phase == v1alpha1.PhaseDraining {
		s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonClockUnknown, "nothing is closed while %s", s.unclocked)
	}
	r.retry(s)
	return true, nil
}

// setUnclocked says that the time is not known. The phase, and what is known of the sale from before, stay as they are.
func (s *scope) setUnclocked() {
	const reason = v1alpha1.ReasonClockUnknown
	before := s.report.Before(v1alpha1.ConditionReconciling)
	if before == nil || before.Reason != reason {
		s.report.Warning(reason, "Reconcile", "%s", s.unclocked)
	}
	if s.promotion.Status.Phase == "" {
		s.promotion.Status.Phase = v1alpha1.PhasePending
	}
	if !s.report.Is(v1alpha1.ConditionReady) {
		s.report.False(v1alpha1.ConditionReady, reason, "%s", s.unclocked)
	}
	s.report.True(v1alpha1.ConditionReconciling, reason, "%s", s.unclocked)
	if before := s.report.Before(v1alpha1.ConditionStalled); before == nil || before.Status != metav1.ConditionTrue {
		s.report.False(v1alpha1.ConditionStalled, v1alpha1.ReasonAsExpected, "nothing needs a person")
	}
}
