package promotionevent

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// summarize sets the phase and the summary conditions from what the phases found, and asks to be
// called again at the next point in time that matters.
func (s *scope) summarize() {
	st := &s.promotion.Status
	st.ObservedGeneration = s.promotion.Generation
	for _, t := range []time.Time{s.promotion.ReadyDeadline(), s.promotion.Spec.StartTime.Time, s.promotion.End()} {
		s.at(t)
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
	st.Phase = s.phase(prepared)
	if st.Phase != before && st.Phase == v1alpha1.PhaseLive {
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

func (s *scope) phase(prepared bool) v1alpha1.PromotionPhase {
	switch {
	case s.settled():
		return v1alpha1.PhaseSettled
	case !s.report.Is(v1alpha1.ConditionClusterReady):
		return v1alpha1.PhasePending
	case s.ended():
		return v1alpha1.PhaseDraining
	case s.started() && s.report.Is(v1alpha1.ConditionPartitionsOpen):
		return v1alpha1.PhaseLive
	case prepared:
		return v1alpha1.PhaseReady
	default:
		return v1alpha1.PhaseProvisioning
	}
}

func (s *scope) setReady(prepared bool) {
	st := &s.promotion.Status
	const ready = v1alpha1.ConditionReady
	switch {
	case s.settled():
		c := s.report.Get(v1alpha1.ConditionSettled)
		s.report.True(ready, v1alpha1.ReasonSettled, "%s", c.Message)
	case s.ended():
		s.report.False(ready, v1alpha1.ReasonDraining, "the sale has ended and is being settled")
	case prepared:
		if s.started() {
			s.report.True(ready, v1alpha1.ReasonSelling, "the sale is live")
		} else {
			s.report.True(ready, v1alpha1.ReasonReadyToStart, "stock, partitions and pods are ready")
		}
		if st.ReadyTime.IsZero() {
			st.ReadyTime = metav1.NewTime(s.now)
			s.report.Normal("Ready", "Provision", "stock, partitions and pods are ready, %s before the start",
				s.promotion.Spec.StartTime.Sub(s.now).Round(time.Second))
		}
	case !s.report.Is(v1alpha1.ConditionClusterReady):
		c := s.report.Get(v1alpha1.ConditionClusterReady)
		s.report.False(ready, v1alpha1.ReasonWaitingForCluster, "%s", c.Message)
	default:
		s.report.False(ready, v1alpha1.ReasonProvisioning, "%s", s.unprepared())
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
	switch {
	case s.ended():
		s.report.False(late, v1alpha1.ReasonEnded, "the sale has ended")
	case prepared || s.now.Before(s.promotion.ReadyDeadline()) || !s.promotion.Status.ReadyTime.IsZero():
		s.report.False(late, v1alpha1.ReasonInTime, "to be ready at %s",
			s.promotion.ReadyDeadline().UTC().Format(time.RFC3339))
	default:
		reason, missed := v1alpha1.ReasonNotReadyInTime, "by "+s.promotion.ReadyDeadline().UTC().Format(time.RFC3339)
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
	if s.stalledReason != "" {
		s.report.True(v1alpha1.ConditionStalled, s.stalledReason, "%s", s.stalledMessage)
	} else {
		s.report.False(v1alpha1.ConditionStalled, v1alpha1.ReasonAsExpected, "nothing needs a person")
	}
	if s.report.Is(v1alpha1.ConditionReady) || s.stalledReason != "" {
		s.report.False(v1alpha1.ConditionReconciling, v1alpha1.ReasonAsExpected, "nothing is in progress")
	} else {
		s.report.True(v1alpha1.ConditionReconciling, ready.Reason, "%s", ready.Message)
	}
}
