package promotionevent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/orderd/sale"
)

const (
	// settleInterval is how often the materializer is asked whether it has written everything.
	settleInterval = 500 * time.Millisecond
	// violatedInterval is how often a violated invariant is looked at again.
	violatedInterval = 30 * time.Second
)

// settle closes the partitions after the end, waits until every order is in the database, proves that
// nothing was lost or sold twice, and returns what is unsold.
func (r *Reconciler) settle(ctx context.Context, s *scope) (bool, error) {
	if !s.ended() {
		s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonNotEnded, "the sale has not ended")
		return false, nil
	}
	if wait := s.promotion.End().Add(sale.DrainGrace).Sub(s.now); wait > 0 {
		s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonDraining,
			"the sale has ended; every pod's clock has to have passed the end")
		s.within(wait)
		return true, nil
	}
	if s.promotion.Status.ClosedTime.IsZero() && !r.mayClose(ctx, s) {
		return true, nil
	}
	totals, ok := r.close(ctx, s)
	if !ok {
		return true, nil
	}
	r.returnStock(ctx, s, totals)
	return true, nil
}

// mayClose reports whether the partitions may be closed, which cannot be undone: everybody has to know that
// the sale has ended, so that no extension is accepted meanwhile, and it has to be over by the clock that
// pods go by. While that is not known nothing is closed.
func (r *Reconciler) mayClose(ctx context.Context, s *scope) bool {
	if s.before.Phase != v1alpha1.PhaseDraining && !s.deleted() {
		s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonDraining, "the sale has ended and is about to be closed")
		s.within(time.Millisecond)
		return false
	}
	serverTime := s.sale.ServerTime
	if r.ServerTime != nil {
		serverTime = r.ServerTime
	}
	now, err := serverTime(ctx)
	if err != nil {
		r.warn(s, "settling", err)
		s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonClockUnknown,
			"nothing is closed while it is not known what JetStream's clock says: %s", err)
		r.retry(s)
		return false
	}
	if wait := s.promotion.End().Add(sale.DrainGrace).Sub(now); wait > 0 {
		s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonDraining,
			"by JetStream's clock, which pods go by, it is %s, and the sale ends at %s",
			now.UTC().Format(time.RFC3339), s.promotion.End().UTC().Format(time.RFC3339))
		s.within(wait)
		return false
	}
	return true
}

// close ends the partitions and waits until the materializer has written all that is in them.
func (r *Reconciler) close(ctx context.Context, s *scope) ([]sale.Total, bool) {
	if s.promotion.Status.ClosedTime.IsZero() {
		if err := s.sale.EndTopUps(ctx); err != nil {
			r.databaseFailed(s, err)
			return nil, false
		}
	}
	totals, err := s.sale.ClosePartitions(ctx)
	var violation *sale.ViolationError
	if errors.As(err, &violation) {
		s.violated(violation)
		return nil, false
	}
	if err != nil {
		r.messagingFailed(s, v1alpha1.ConditionSettled, "closing the partitions", err)
		return nil, false
	}
	s.closed(totals)
	drained, err := s.sale.Drained(ctx)
	if err == nil && drained {
		err = s.sale.PublishClosed(ctx)
	}
	if err != nil {
		r.messagingFailed(s, v1alpha1.ConditionSettled, "waiting for accepted orders to be written", err)
		return nil, false
	}
	if !drained {
		s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonMaterializing,
			"accepted orders are being written to the database")
		s.within(settleInterval)
		return nil, false
	}
	return totals, true
}

// closed notes that every partition is closed, and what they hold.
func (s *scope) closed(totals []sale.Total) {
	if s.promotion.Status.ClosedTime.IsZero() {
		s.promotion.Status.ClosedTime = metav1.NewTime(s.now)
		s.report.Normal("Closed", "Settle", "every partition is closed")
	}
	s.report.False(v1alpha1.ConditionPartitionsOpen, v1alpha1.ReasonClosed, "every partition is closed")
	s.figures(totals)
	if s.lacksStock() {
		s.report.False(v1alpha1.ConditionToppedUp, v1alpha1.ReasonEnded,
			"the sale ended before it had the stock that the spec asks for")
	} else {
		s.hasStock()
	}
}

// returnStock proves the invariant and then returns the unsold stock: with an invariant violated,
// nobody knows how much is unsold, and a person has to look.
func (r *Reconciler) returnStock(ctx context.Context, s *scope, totals []sale.Total) {
	s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonReturningStock, "unsold stock is being returned")
	err := s.sale.Prove(ctx, totals)
	if err == nil {
		err = s.sale.ReturnUnsold(ctx, totals)
	}
	var releasing *sale.ReleasingError
	var violation *sale.ViolationError
	switch {
	case err == nil:
		s.settledWith(totals)
	case errors.As(err, &releasing):
		s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonReleasing, "%s", releasing)
		s.within(settleInterval)
	case errors.As(err, &violation):
		s.violated(violation)
	default:
		r.databaseFailed(s, err)
	}
}

func (r *Reconciler) databaseFailed(s *scope, err error) {
	r.warn(s, "settling", err)
	s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonDatabaseError, "%s", databaseProblem(err))
	r.retry(s)
}

func (s *scope) violated(v *sale.ViolationError) {
	reason := v1alpha1.ReasonDatabaseMismatch
	if v.Where == sale.LogMismatch {
		reason = v1alpha1.ReasonLogMismatch
	}
	if s.report.True(v1alpha1.ConditionInvariantViolated, reason, "%s", v.Message) {
		s.report.Warning("InvariantViolated", "Settle", "%s", report.Few(strings.Split(v.Message, "; ")))
	}
	// The whole list is said once.
	few := report.Few(strings.Split(v.Message, "; "))
	s.report.False(v1alpha1.ConditionSettled, reason, "not settled: %s", few)
	s.stall(reason, few)
	s.within(violatedInterval)
}

func (s *scope) settledWith(totals []sale.Total) {
	s.figures(totals)
	st := &s.promotion.Status
	for i := range st.Items {
		st.Items[i].Returned = st.Items[i].Left
	}
	st.SettledTime = metav1.NewTime(s.now)
	s.report.False(v1alpha1.ConditionInvariantViolated, v1alpha1.ReasonProved,
		"allocated + topped up = sold + returned for every item, in the log and in the database")
	message := fmt.Sprintf("%d units sold, %d returned to stock", *st.Sold, *st.Left)
	s.report.True(v1alpha1.ConditionSettled, v1alpha1.ReasonSettled, "%s", message)
	s.report.Normal("Settled", "Settle", "%s", message)
	s.within(time.Millisecond)
}

// retain removes the log of a settled promotion once it need not be kept any longer, and lets a
// deleted one go.
func (r *Reconciler) retain(ctx context.Context, s *scope) (bool, error) {
	st := &s.promotion.Status
	until, pinned := s.promotion.LogKept()
	due := s.unclocked == "" && !s.now.Before(until) || s.deleted() && !pinned
	s.at(until)
	if pinned {
		s.held = "its log is kept until " + until.UTC().Format(time.RFC3339) + " (spec.settlement.keepLog)"
		if s.unclocked != "" {
			s.held += "; " + s.unclocked
			r.retry(s)
		}
	}
	if due && st.LogRemovedTime.IsZero() && !st.ClosedTime.IsZero() {
		if err := s.sale.Remove(ctx); err != nil {
			r.warn(s, "removing the log", err)
			s.held = fmt.Sprintf("its log could not be removed: %s", err)
			r.retry(s)
			return true, nil
		}
		st.LogRemovedTime = metav1.NewTime(s.now)
		s.report.Normal("LogRemoved", "Settle", "the promotion's log is removed")
	}
	s.finished = due && s.deleted()
	return true, nil
}
