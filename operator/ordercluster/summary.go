package ordercluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/operator/specs"
)

// summarize sets the summary conditions from what the phases found, whatever failed.
func (s *scope) summarize() {
	st := &s.cluster.Status
	st.Endpoint = specs.Endpoint(s.cluster, v1alpha1.PoolStandard)
	st.FlashEndpoint = specs.Endpoint(s.cluster, v1alpha1.PoolFlash)
	s.setApplied()
	s.setProgressing()
	s.setReady()
	s.setStalled()
	if s.report.Is(v1alpha1.ConditionApplied) && !s.incomplete {
		st.ObservedGeneration = s.cluster.Generation
	}
}

// setApplied says whether the API server has every object as the present spec asks for.
func (s *scope) setApplied() {
	const condition = v1alpha1.ConditionApplied
	failed := append(worstFirst(untold(s.failed[condition], s.told)), s.gate()...)
	waits, text := s.waits(true)
	switch {
	case len(failed) > 0:
		s.report.Fail(condition, failed...)
	case len(s.differs) > 0:
		s.report.Unknown(condition, v1alpha1.ReasonPaused,
			"spec.paused: nothing is changed, and these pools are not as the spec asks for: %s", strings.Join(s.differs, ", "))
	case !s.migrated || s.orderIDKey == "":
		s.report.False(condition, v1alpha1.ReasonWaitingForMigration,
			"the pools are rolled out once the database is migrated for %s", s.cluster.Spec.Image)
	case waits != "":
		s.report.False(condition, waits, "%s", text)
	default:
		s.report.True(condition, v1alpha1.ReasonApplied, "everything is applied as the spec has it")
	}
}

// worstFirst puts what a person has to act on before what is tried again.
func worstFirst(list []report.Problem) []report.Problem {
	var first, then []report.Problem
	for _, p := range list {
		if needsPerson(p.Reason) {
			first = append(first, p)
		} else {
			then = append(then, p)
		}
	}
	return append(first, then...)
}

func (s *scope) setProgressing() {
	const condition = v1alpha1.ConditionProgressing
	applied := s.report.Get(v1alpha1.ConditionApplied)
	waits, text := s.waits(false)
	switch {
	case s.cluster.IsPaused():
		s.report.False(condition, v1alpha1.ReasonPaused, "spec.paused: nothing is changed")
	case len(s.failed[condition]) > 0:
		told := slices.Concat(s.told, s.failed[v1alpha1.ConditionApplied])
		s.report.Fail(condition, untold(s.failed[condition], told)...)
	case len(s.unready) > 0 && s.unready[0].Reason != v1alpha1.ReasonPoolsNotReady:
		s.report.Fail(condition, s.unready...)
	case waits != "" && (applied.Status == metav1.ConditionTrue || applied.Reason == waits):
		s.report.True(condition, waits, "%s", text)
	case applied.Status != metav1.ConditionTrue && applied.Reason != v1alpha1.ReasonWaitingForMigration:
		s.report.False(condition, v1alpha1.ReasonWaiting, "%s", applied.Message)
	case !s.migrated && !s.databaseReady:
		s.report.False(condition, v1alpha1.ReasonWaiting, "waiting for the database")
	case !s.migrated:
		s.report.True(condition, v1alpha1.ReasonMigrating, "migrating the database")
	case len(s.unready) > 0:
		s.report.True(condition, v1alpha1.ReasonRollingOut, "%s", texts(s.unready))
	default:
		s.report.False(condition, v1alpha1.ReasonComplete, "the platform is as its spec says")
	}
}

// untold is the list without the events of those that have been told.
func untold(list, told []report.Problem) []report.Problem {
	out := slices.Clone(list)
	for i := range out {
		if slices.ContainsFunc(told, func(p report.Problem) bool { return p.Text == out[i].Text }) {
			out[i].Action = ""
		}
	}
	return out
}

func texts(list []report.Problem) string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.Text
	}
	return strings.Join(out, "; ")
}

func (s *scope) setReady() {
	const ready = v1alpha1.ConditionReady
	applied := s.report.Get(v1alpha1.ConditionApplied)
	unmet := s.unmet()
	switch {
	case !s.cluster.DeletionTimestamp.IsZero():
		s.report.False(ready, v1alpha1.ReasonDeleting, "being deleted, once these PromotionEvents are gone: %s",
			report.Few(s.holders()))
	case unmet != nil:
		s.report.False(ready, unmet.Reason, "%s: %s", unmet.Type, unmet.Message)
	case applied.Status == metav1.ConditionUnknown:
		message := applied.Message
		if len(s.unready) > 0 {
			message += "; " + texts(s.unready)
		}
		s.report.Unknown(ready, v1alpha1.ReasonPaused, "%s", message)
	case len(s.unready) > 0 && s.cluster.IsPaused():
		s.report.Fail(ready, s.unready...)
	case len(s.unready) > 0:
		s.report.False(ready, s.unready[0].Reason, "%s", texts(s.unready))
	case s.incomplete:
		c := s.report.Get(v1alpha1.ConditionProgressing)
		s.report.False(ready, c.Reason, "%s", c.Message)
	default:
		if s.report.True(ready, v1alpha1.ReasonAllReady, "database, messaging and all pools are ready") {
			s.report.Normal("Ready", "Reconcile", "database, messaging and all pools are ready")
		}
	}
	before, now := s.report.Before(ready), s.report.Get(ready)
	if before != nil && before.Status == metav1.ConditionTrue && now.Status != metav1.ConditionTrue && !s.report.Warned() {
		s.report.Normal(now.Reason, "Reconcile", "not ready any more: %s", now.Message)
	}
}

// unmet is the first condition that keeps the OrderCluster from being ready, the causes before what follows from them;
// nil if there is none, or only spec.paused.
func (s *scope) unmet() *metav1.Condition {
	var last *metav1.Condition
	for _, condition := range []string{
		v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionMessagingReady, v1alpha1.ConditionApplied,
		v1alpha1.ConditionMigrated,
	} {
		c := s.report.Get(condition)
		switch {
		case c == nil || c.Status != metav1.ConditionFalse || c.Reason == v1alpha1.ReasonPaused:
		case c.Reason == v1alpha1.ReasonWaitingForMigration:
			last = c // Migrated says more.
		default:
			return c
		}
	}
	return last
}

// holders are the promotions that a deleted OrderCluster waits for, and why.
func (s *scope) holders() []string {
	var out []string
	for i := range s.promotions {
		p := &s.promotions[i]
		why := "being settled"
		switch until, pinned := p.LogKept(); {
		case p.DeletionTimestamp.IsZero():
			why = "not deleted"
		case pinned && !p.Status.SettledTime.IsZero():
			why = "its log is kept until " + until.UTC().Format(time.RFC3339)
		}
		out = append(out, fmt.Sprintf("%s (%s)", p.Name, why))
	}
	return out
}

// setStalled sets the two conditions that kstatus reads besides Ready.
func (s *scope) setStalled() {
	ready := s.report.Get(v1alpha1.ConditionReady)
	reason, message := s.stalled()
	if reason != "" {
		s.report.True(v1alpha1.ConditionStalled, reason, "%s", message)
	} else {
		s.report.False(v1alpha1.ConditionStalled, v1alpha1.ReasonAsExpected, "nothing needs a person")
	}
	switch {
	case s.cluster.IsPaused():
		s.report.False(v1alpha1.ConditionReconciling, v1alpha1.ReasonPaused, "spec.paused: nothing is changed")
	case reason != "" || s.report.Is(v1alpha1.ConditionReady):
		s.report.False(v1alpha1.ConditionReconciling, v1alpha1.ReasonAsExpected, "nothing is in progress")
	default:
		s.report.True(v1alpha1.ConditionReconciling, ready.Reason, "%s", ready.Message)
	}
}

// stalled says what a person has to act on; "" if nothing.
func (s *scope) stalled() (reason, message string) {
	for _, condition := range []string{
		v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionMessagingReady, v1alpha1.ConditionApplied,
		v1alpha1.ConditionMigrated,
	} {
		if c := s.report.Get(condition); c != nil && c.Status == metav1.ConditionFalse && needsPerson(c.Reason) {
			return c.Reason, condition + ": " + c.Message
		}
	}
	for _, p := range s.unready {
		if needsPerson(p.Reason) {
			return p.Reason, p.Text
		}
	}
	return "", ""
}
