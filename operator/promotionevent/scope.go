package promotionevent

import (
	"strings"
	"time"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/orderd/sale"
)

// scope is what one reconcile knows of one PromotionEvent.
type scope struct {
	promotion *v1alpha1.PromotionEvent
	// found is nil if the OrderCluster is not there; cluster also if it is not migrated.
	found, cluster *v1alpha1.OrderCluster
	// sale is the promotion's sale as the spec has it now.
	sale   *sale.Sale
	before v1alpha1.PromotionEventStatus
	// now is JetStream's time; the operator's own without an OrderCluster, or while unclocked says why JetStream's is
	// not known.
	now       time.Time
	unclocked string
	report    *report.Report
	// next is when to look again at the latest; zero: when something changes.
	next time.Duration
	// finished: nothing is left of a deleted promotion but its finalizer.
	finished bool
	// toppedUp says that the sale has all the stock that the spec asks for, as far as this
	// reconcile has asked.
	toppedUp bool
	// doing is the phase that runs; refused says that it is to be tried again.
	doing   string
	refused bool
	// scheduled: it is too early to take anything.
	scheduled bool
	// unpublished: the pods were not told what the spec has now.
	unpublished bool
	// outdated: the pods were told of a later spec.
	outdated bool
	// failure is what the API server did not do; empty: nothing.
	failureReason, failure string
	// held says what a deleted promotion that is settled waits for.
	held string
	// missed: the window passed before anything could be taken.
	missed bool
	// stalled says what a person has to act on; empty: nothing.
	stalledReason, stalledMessage string
}

func newScope(p *v1alpha1.PromotionEvent, now time.Time) *scope {
	before := *p.Status.DeepCopy()
	p.Status.UID = string(p.UID)
	return &scope{promotion: p, before: before, now: now, report: report.New(p, kind, now)}
}

// within asks to be reconciled again in d at the latest.
func (s *scope) within(d time.Duration) {
	if s.next == 0 || d < s.next {
		s.next = max(d, time.Millisecond)
	}
}

// at asks to be reconciled again at t, unless that has passed.
func (s *scope) at(t time.Time) {
	if t.After(s.now) {
		s.within(t.Sub(s.now))
	}
}

func (s *scope) started() bool { return !s.now.Before(s.promotion.Spec.StartTime.Time) }

// ended reports whether the sale is over: its end has passed, or it was deleted.
func (s *scope) ended() bool { return !s.now.Before(s.promotion.End()) }

func (s *scope) deleted() bool { return !s.promotion.DeletionTimestamp.IsZero() }

func (s *scope) settled() bool { return s.report.Is(v1alpha1.ConditionSettled) }

func (s *scope) stall(reason, message string) { s.stalledReason, s.stalledMessage = reason, message }

// failed notes what the API server did not do. What is known from before stays as it is.
func (s *scope) failed(err error) {
	s.failureReason, s.failure = report.Refusal(err)
	for _, told := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if before := s.report.Before(told); before != nil && strings.Contains(before.Message, s.failure) {
			return
		}
	}
	s.report.Warning(s.failureReason, "Reconcile", "%s", s.failure)
}

// uid names the promotion in the database and in the log.
func (s *scope) uid() string { return s.promotion.SaleUID() }
