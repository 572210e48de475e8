package promotionevent

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// preparations are the facts that preparing a promotion makes true, in turn.
var preparations = []string{
	v1alpha1.ConditionClusterReady,
	v1alpha1.ConditionStockAllocated,
	v1alpha1.ConditionPartitionsOpen,
	v1alpha1.ConditionFlashPoolReady,
}

// summaries are what a promotion of an hour is at a time after its start, by the facts that are true then.
var summaries = map[string]struct {
	now       time.Duration
	facts     []string
	settled   bool
	wantPhase v1alpha1.PromotionPhase
	wantReady metav1.ConditionStatus
	wantLate  metav1.ConditionStatus
}{
	"no OrderCluster": {
		now:       -time.Hour,
		wantPhase: v1alpha1.PhasePending,
		wantReady: metav1.ConditionFalse,
		wantLate:  metav1.ConditionFalse,
	},
	"half prepared": {
		now:       -time.Hour,
		facts:     preparations[:2],
		wantPhase: v1alpha1.PhaseProvisioning,
		wantReady: metav1.ConditionFalse,
		wantLate:  metav1.ConditionFalse,
	},
	"half prepared at the deadline": {
		now:       -5 * time.Minute,
		facts:     preparations[:2],
		wantPhase: v1alpha1.PhaseProvisioning,
		wantReady: metav1.ConditionFalse,
		wantLate:  metav1.ConditionTrue,
	},
	"prepared": {
		now:       -time.Second,
		facts:     preparations,
		wantPhase: v1alpha1.PhaseReady,
		wantReady: metav1.ConditionTrue,
		wantLate:  metav1.ConditionFalse,
	},
	"at the start": {
		now:       0,
		facts:     preparations,
		wantPhase: v1alpha1.PhaseLive,
		wantReady: metav1.ConditionTrue,
		wantLate:  metav1.ConditionFalse,
	},
	"live with too few pods": {
		now:       time.Second,
		facts:     preparations[:3],
		wantPhase: v1alpha1.PhaseLive,
		wantReady: metav1.ConditionFalse,
		wantLate:  metav1.ConditionTrue,
	},
	"not open at the start": {
		now:       time.Second,
		facts:     preparations[:2],
		wantPhase: v1alpha1.PhaseProvisioning,
		wantReady: metav1.ConditionFalse,
		wantLate:  metav1.ConditionTrue,
	},
	"at the end": {
		now:       time.Hour,
		facts:     preparations[:3],
		wantPhase: v1alpha1.PhaseDraining,
		wantReady: metav1.ConditionFalse,
		wantLate:  metav1.ConditionFalse,
	},
	"settled": {
		now:       2 * time.Hour,
		facts:     preparations[:2],
		settled:   true,
		wantPhase: v1alpha1.PhaseSettled,
		wantReady: metav1.ConditionTrue,
		wantLate:  metav1.ConditionFalse,
	},
}

func TestSummaryFollowsClockAndFacts(t *testing.T) {
	start := time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)
	for name, tt := range summaries {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.PromotionEvent{}
			p.Spec.StartTime, p.Spec.EndTime = metav1.NewTime(start), metav1.NewTime(start.Add(time.Hour))
			s := newScope(p, start.Add(tt.now))
			s.report.False(v1alpha1.ConditionClusterReady, v1alpha1.ReasonClusterNotFound, "none")
			for _, fact := range tt.facts {
				s.report.True(fact, "Test", "done")
			}
			if tt.settled {
				s.report.True(v1alpha1.ConditionSettled, v1alpha1.ReasonSettled, "done")
			}
			s.summarize()
			if p.Status.Phase != tt.wantPhase {
				t.Errorf("phase %s, want %s", p.Status.Phase, tt.wantPhase)
			}
			for condition, want := range map[string]metav1.ConditionStatus{
				v1alpha1.ConditionReady: tt.wantReady, v1alpha1.ConditionLate: tt.wantLate,
			} {
				if got := s.report.Get(condition).Status; got != want {
					t.Errorf("%s is %s, want %s", condition, got, want)
				}
			}
		})
	}
}
