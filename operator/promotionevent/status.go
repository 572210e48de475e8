package promotionevent

import (
	"cmp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/sale/capacity"
)

// deletedInterval is how often a deleted promotion is looked at that waits for its log to have been kept long enough.
const deletedInterval = 30 * time.Second

// summarize sets the phase and the summary conditions from what the phases found, and asks to be
// called again at the next point in time that matters.
func (s *scope) summarize() {
	st := &s.promotion.Status
	if s.unclocked == "" {
		for _, t := range []time.Time{
			s.promotion.PrepareTime(), s.promotion.ReadyDeadline(), s.promotion.Spec.StartTime.Time, s.promotion.End(),
		} {
			s.at(t)
		}
	}
	if s.deleted() {
		// Its namespace may go, which nothing else tells.
		s.within(deletedInterval)
	}
	if s.failure != "" {
		s.setFailed()
		return
	}
	if s.unclocked != "" && s.cluster != nil && !s.settled() {
		s.setUnclocked()
		return
	}
	if !s.unpublished {
		st.ObservedGeneration = s.promotion.Generation
	}
	if s.promotion.IsPaused() {
		s.report.True(v1alpha1.ConditionPaused, v1alpha1.ReasonPausedBySpec, "spec.paused: new orders are refused")
	} else {
		s.report.False(v1alpha1.ConditionPaused, v1alpha1.ReasonAsExpected, "new orders are taken while the sale is live")
	}
	prepared := true
	for _, condition := range []string{
		v1alpha1.ConditionClusterReady, v1alpha1.ConditionStockAllocated,
		v1alpha1.ConditionPartitionsOpen, v1alpha1.ConditionFlashPoolReady,
	} {
		prepared = prepared && s.report.Is(condition)
	}
	before := st.Phase
	if !s.outdated {
		// What it would be by an older spec is not so, and would keep the later one from being written.
		st.Phase = s.phase(prepared)
	}
	if st.Phase == v1alpha1.PhaseLive && before != v1alpha1.PhaseLive && before != v1alpha1.PhasePaused {
		s.report.Normal("Live", "Open", "the sale is live until %s", s.promotion.End().UTC().Format(time.RFC3339))
	}
	if s.promotion.AdmissionRequired() && !s.ended() &&
		s.promotion.AdmissionEnd().Before(s.promotion.CreationTimestamp.Time) {
		s.stall(v1alpha1.ReasonNoAdmission,
			"orders need admission tokens, and spec.admission.until passed before the promotion was made: nobody can have one")
	}
	s.setReady(prepared)
	s.setLate(prepared)
	s.setStalled()
}

// setFailed says what the API server did not do. What is known of the sale from before stays as it is.
func (s *scope) setFailed() {
	if s.failureReason == v1alpha1.ReasonApplyRefused {
		s.report.True(v1alpha1.ConditionStalled, s.failureReason, "%s", s.failure)
		s.report.False(v1alpha1.ConditionReconciling, v1alpha1.ReasonAsExpected, "nothing is in progress")
	} else {
		s.report.True(v1alpha1.ConditionReconciling, s.failureReason, "%s", s.failure)
	}
	if s.report.Get(v1alpha1.ConditionReady) == nil {
		s.report.False(v1alpha1.ConditionReady, s.failureReason, "%s", s.failure)
	}
}

func (s *scope) phase(prepared bool) v1alpha1.PromotionPhase {
	switch {
	case s.settled():
		return v1alpha1.PhaseSettled
	case !s.report.Is(v1alpha1.ConditionClusterReady):
		return v1alpha1.PhasePending
	case s.ended():
		return v1alpha1.PhaseDraining
	case s.started() && s.report.Is(v1alpha1.ConditionPartitionsOpen) && s.promotion.IsPaused():
		return v1alpha1.PhasePaused
	case s.started() && s.report.Is(v1alpha1.ConditionPartitionsOpen):
		return v1alpha1.PhaseLive
	case prepared:
		return v1alpha1.PhaseReady
	case s.inTime():
		return v1alpha1.PhaseScheduled
	default:
		return v1alpha1.PhaseProvisioning
	}
}

func (s *scope) setReady(prepared bool) {
	const ready = v1alpha1.ConditionReady
	switch {
	case s.missed:
		s.report.False(ready, v1alpha1.ReasonNeverOpened, "%s", s.stalledMessage)
	case s.neverOpen():
		s.report.False(ready, v1alpha1.ReasonNeverOpened, "%s", s.report.Get(v1alpha1.ConditionSettled).Message)
	case s.settled() && s.deleted():
		s.report.False(ready, v1alpha1.ReasonDeleting, "deleted; %s", cmp.Or(s.held, "its log is being removed"))
	case s.settled():
		s.report.True(ready, v1alpha1.ReasonSettled, "%s", s.report.Get(v1alpha1.ConditionSettled).Message)
	case s.ended():
		s.report.False(ready, v1alpha1.ReasonDraining, "the sale has ended and is being settled")
	case prepared:
		s.setPrepared()
	case s.inTime():
		s.setScheduled()
	case !s.report.Is(v1alpha1.ConditionClusterReady):
		s.report.False(ready, v1alpha1.ReasonWaitingForCluster, "%s", s.report.Get(v1alpha1.ConditionClusterReady).Message)
		s.unreadied()
	default:
		s.report.False(ready, v1alpha1.ReasonProvisioning, "%s", s.unprepared())
		s.unreadied()
	}
}

// inTime reports whether all is done that the present asks for, and something is left for later.
func (s *scope) inTime() bool {
	pool := s.report.Get(v1alpha1.ConditionFlashPoolReady)
	return s.scheduled || pool != nil && pool.Reason == v1alpha1.ReasonScheduled &&
		s.report.Is(v1alpha1.ConditionClusterReady) && s.report.Is(v1alpha1.ConditionStockAllocated) &&
		s.report.Is(v1alpha1.ConditionPartitionsOpen)
}

// setScheduled says what comes next, and when.
func (s *scope) setScheduled() {
	const ready = v1alpha1.ConditionReady
	before := s.report.Before(ready)
	if s.scheduled {
		s.report.True(ready, v1alpha1.ReasonScheduled,
			"nothing is to be done before %s: stock, streams and partitions are taken then",
			s.promotion.PrepareTime().UTC().Format(time.RFC3339))
	} else {
		from, _ := capacity.Window(s.promotion)
		s.report.True(ready, v1alpha1.ReasonScheduled, "stock and partitions are ready; %d pods are made at %s",
			s.promotion.Status.Replicas, from.UTC().Format(time.RFC3339))
	}
	// It has to become ready once more.
	s.promotion.Status.ReadyTime = metav1.Time{}
	if before != nil && before.Reason == v1alpha1.ReasonReadyToStart {
		s.report.Normal("Rescheduled", s.action("Provision"), "the start was moved to %s: %s",
			s.promotion.Spec.StartTime.UTC().Format(time.RFC3339), s.report.Get(ready).Message)
	}
}

func (s *scope) setPrepared() {
	const ready = v1alpha1.ConditionReady
	st := &s.promotion.Status
	switch {
	case s.started() && s.promotion.IsPaused():
		s.report.False(ready, v1alpha1.ReasonPaused, "spec.paused: new orders are refused until the sale is resumed")
	case s.started():
		s.report.True(ready, v1alpha1.ReasonSelling, "the sale is live")
	default:
		s.report.True(ready, v1alpha1.ReasonReadyToStart, "stock, partitions and pods are ready")
	}
	if !st.ReadyTime.IsZero() {
		return
	}
	st.ReadyTime = metav1.NewTime(s.now)
	when := "after the start"
	if !s.started() {
		when = "before the start"
	}
	s.report.Normal("Ready", "Provision", "stock, partitions and pods are ready, %s %s",
		s.promotion.Spec.StartTime.Sub(s.now).Abs().Round(time.Second), when)
}

// neverOpen reports whether the sale was over before it could begin: that is settled, and nothing to be content with.
func (s *scope) neverOpen() bool {
	c := s.report.Get(v1alpha1.ConditionSettled)
	return c != nil && c.Status == metav1.ConditionTrue && c.Reason == v1alpha1.ReasonNeverOpened
}

// unreadied tells of a sale that was ready, and is not any more. One whose start was moved far ahead has to become
// ready once more.
func (s *scope) unreadied() {
	now := s.report.Get(v1alpha1.ConditionReady)
	if from, _ := capacity.Window(s.promotion); s.now.Before(from) {
		s.promotion.Status.ReadyTime = metav1.Time{}
	}
	before := s.report.Before(v1alpha1.ConditionReady)
	switch {
	case before == nil, before.Reason == v1alpha1.ReasonScheduled:
	case before.Status == metav1.ConditionTrue, before.Reason == v1alpha1.ReasonPaused:
		s.report.Warning(v1alpha1.ReasonReadinessLost, "Provision", "not ready any more: %s", now.Message)
	}
}

// unprepared says which preparation is missing.
func (s *scope) unprepared() string {
	for _, condition := range []string{
		v1alpha1.ConditionStockAllocated, v1alpha1.ConditionPartitionsOpen, v1alpha1.ConditionFlashPoolReady,
	} {
		if s.report.Is(condition) {
			continue
		}
		if c := s.report.Get(condition); c != nil {
			return condition + ": " + c.Message
		}
		return condition + ": to be done"
	}
	return "everything is prepared"
}

// setLate warns once when the deadline, and once more when the start, passes without the promotion
// being ready.
func (s *scope) setLate(prepared bool) {
	const late = v1alpha1.ConditionLate
	deadline := s.promotion.ReadyDeadline().UTC().Format(time.RFC3339)
	switch {
	case s.ended():
		s.report.False(late, v1alpha1.ReasonEnded, "the sale has ended")
	case prepared:
		s.report.False(late, v1alpha1.ReasonInTime, "it is ready")
	case s.now.Before(s.promotion.ReadyDeadline()):
		s.report.False(late, v1alpha1.ReasonInTime, "to be ready at %s", deadline)
	case !s.promotion.Status.ReadyTime.IsZero():
		// The event was sent when it was lost.
		s.report.True(late, v1alpha1.ReasonReadinessLost, "it was ready, and is not any more; the operator keeps trying")
	default:
		reason, missed := v1alpha1.ReasonNotReadyInTime, "by "+deadline
		if s.started() {
			reason, missed = v1alpha1.ReasonNotReadyAtStart, "at the start"
		}
		before := s.report.Get(late)
		if before == nil || before.Reason != reason {
			s.report.Warning(reason, "Provision", "not ready %s: %s", missed, s.report.Get(v1alpha1.ConditionReady).Message)
		}
		s.report.True(late, reason, "not ready %s; the operator keeps trying", missed)
	}
}

// setStalled sets the two conditions that kstatus reads besides Ready.
func (s *scope) setStalled() {
	ready := s.report.Get(v1alpha1.ConditionReady)
	if s.neverOpen() && !s.deleted() {
		s.stall(v1alpha1.ReasonNeverOpened, ready.Message+"; delete it")
	}
	if s.stalledReason != "" {
		s.report.True(v1alpha1.ConditionStalled, s.stalledReason, "%s", s.stalledMessage)
	} else {
		s.report.False(v1alpha1.ConditionStalled, v1alpha1.ReasonAsExpected, "nothing needs a person")
	}
	if s.report.Is(v1alpha1.ConditionReady) || s.stalledReason != "" || ready.Reason == v1alpha1.ReasonPaused {
		s.report.False(v1alpha1.ConditionReconciling, v1alpha1.ReasonAsExpected, "nothing is in progress")
	} else {
		s.report.True(v1alpha1.ConditionReconciling, ready.Reason, "%s", ready.Message)
	}
}
