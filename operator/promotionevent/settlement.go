package promotionevent

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/stock"
)

const (
	// countInterval is how often sold and left are counted while the sale is live.
	countInterval = 2 * time.Second
	// countItems is how many items a sale may have for that; with twice as many they are counted half as often.
	countItems = 200
	// countShare keeps counting a very long log from becoming all that the operator does: at least this many times as
	// long as the count took passes before the next.
	countShare = 10
	// drainGrace lets the end pass on every pod's clock, and what they accepted until then be appended.
	drainGrace = 2 * time.Second
	// settleInterval is how often the materializer is asked whether it has written everything.
	settleInterval = 500 * time.Millisecond
	// violatedInterval is how often a violated invariant is looked at again.
	violatedInterval = 30 * time.Second
)

// count brings the figures of a live sale up to date.
func (r *Reconciler) count(ctx context.Context, s *scope) (bool, error) {
	if !s.started() || s.ended() {
		return false, nil
	}
	log, err := r.log(ctx, s)
	if err != nil {
		r.warn(s, "counting", err)
		s.within(retryInterval)
		return false, nil
	}
	begin := r.Clock()
	totals, err := log.Totals(ctx, s.definition(false))
	if err != nil {
		r.warn(s, "counting", err)
		s.within(retryInterval)
		return false, nil
	}
	s.figures(totals)
	// A status of very many items costs the API server something.
	interval := countInterval * time.Duration(max(1, len(totals)/countItems))
	s.within(max(interval, countShare*r.Clock().Sub(begin)))
	return false, nil
}

// figures puts what the log holds into the status. Each item keeps its place and its stream.
func (s *scope) figures(totals []provision.Total) {
	of := make(map[string]provision.Total, len(totals))
	for _, t := range totals {
		of[t.SKU] = t
	}
	st := &s.promotion.Status
	streams := s.streams()
	var sold, left int64
	st.Items = nil
	for _, item := range s.promotion.Spec.Items {
		t := of[item.SKU]
		sold, left = sold+t.Sold, left+t.Unsold
		st.Items = append(st.Items, v1alpha1.PromotionItemStatus{
			SKU: item.SKU, Stream: streams[item.SKU], Allocated: ptr.To(t.Allocated + t.ToppedUp), Sold: ptr.To(t.Sold), Left: ptr.To(t.Unsold),
		})
	}
	st.Sold, st.Left = ptr.To(sold), ptr.To(left)
}

// settle closes the partitions after the end, waits until every order is in the database, proves that
// nothing was lost or sold twice, and returns what is unsold.
func (r *Reconciler) settle(ctx context.Context, s *scope) (bool, error) {
	if !s.ended() {
		s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonNotEnded, "the sale has not ended")
		return false, nil
	}
	if wait := s.promotion.End().Add(drainGrace).Sub(s.now); wait > 0 {
		s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonDraining, "the end is passing on every pod")
		s.within(wait)
		return true, nil
	}
	totals, ok := r.close(ctx, s)
	if !ok {
		return true, nil
	}
	r.returnStock(ctx, s, totals)
	return true, nil
}

// close ends the partitions and waits until the materializer has written all that is in them.
func (r *Reconciler) close(ctx context.Context, s *scope) ([]provision.Total, bool) {
	if s.promotion.Status.ClosedTime.IsZero() && !r.endTopUps(ctx, s) {
		return nil, false
	}
	log, err := r.log(ctx, s)
	if err != nil {
		r.messagingFailed(s, v1alpha1.ConditionSettled, "closing the partitions", err)
		return nil, false
	}
	totals, err := log.Close(ctx, s.definition(false))
	if errors.Is(err, partition.ErrCorrupt) {
		s.violated(&violation{v1alpha1.ReasonLogMismatch, err.Error()})
		return nil, false
	}
	if err != nil {
		r.messagingFailed(s, v1alpha1.ConditionSettled, "closing the partitions", err)
		return nil, false
	}
	if s.promotion.Status.ClosedTime.IsZero() {
		s.promotion.Status.ClosedTime = metav1.NewTime(s.now)
		s.report.Normal("Closed", "Settle", "every partition is closed")
	}
	s.report.False(v1alpha1.ConditionPartitionsOpen, v1alpha1.ReasonClosed, "every partition is closed")
	s.figures(totals)
	if s.lacksStock() {
		s.report.False(v1alpha1.ConditionToppedUp, v1alpha1.ReasonEnded, "the sale ended before it had the stock that the spec asks for")
	} else {
		s.hasStock()
	}
	drained, err := log.Drained(ctx, s.definition(false))
	if err == nil && drained {
		// From now on releases credit the stock in the database.
		_, err = log.Publish(ctx, s.definition(true))
	}
	if err != nil {
		r.messagingFailed(s, v1alpha1.ConditionSettled, "waiting for accepted orders to be written", err)
		return nil, false
	}
	if !drained {
		s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonMaterializing, "accepted orders are being written to the database")
		s.within(settleInterval)
		return nil, false
	}
	return totals, true
}

// endTopUps lets no more stock be added, and learns what has to be in the log before it is closed.
func (r *Reconciler) endTopUps(ctx context.Context, s *scope) bool {
	db, err := r.stock(ctx, s)
	if err == nil {
		s.topUps, err = db.EndTopUps(ctx, s.uid())
	}
	if err != nil {
		r.databaseFailed(s, err)
		return false
	}
	return true
}

// returnStock proves the invariant and then returns the unsold stock: with an invariant violated, nobody
// knows how much is unsold, and a person has to look.
func (r *Reconciler) returnStock(ctx context.Context, s *scope, totals []provision.Total) {
	s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonReturningStock, "unsold stock is being returned")
	db, err := r.stock(ctx, s)
	var allocated, sold []stock.Quantity
	var topUps []stock.TopUp
	var releasing int64
	if err == nil {
		allocated, err = db.Allocated(ctx, s.uid())
	}
	if err == nil {
		topUps, err = db.EndTopUps(ctx, s.uid())
	}
	if err == nil {
		// Read before sold: a release that begins after this comes too late for the log, and stays sold in both.
		releasing, err = db.Releasing(ctx, s.uid())
	}
	if err == nil {
		sold, err = db.Sold(ctx, s.uid())
	}
	if err != nil {
		r.databaseFailed(s, err)
		return
	}
	if violation := prove(allocated, topUps, sold, totals); violation != nil {
		if violation.reason == v1alpha1.ReasonDatabaseMismatch && releasing > 0 {
			// A release may be in the log while the database does not know it yet.
			s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonReleasing, "%d cancelled or expired orders are being released", releasing)
			s.within(settleInterval)
			return
		}
		s.violated(violation)
		return
	}
	var unsold []stock.Quantity
	for _, t := range totals {
		unsold = append(unsold, stock.Quantity{SKU: t.SKU, Quantity: t.Unsold})
	}
	if err := db.ReturnUnsold(ctx, s.uid(), unsold); err != nil {
		r.databaseFailed(s, err)
		return
	}
	returned, err := db.Returned(ctx, s.uid())
	if err != nil {
		r.databaseFailed(s, err)
		return
	}
	if violation := proveReturned(returned, totals); violation != nil {
		s.violated(violation)
		return
	}
	s.settledWith(totals)
}

func (r *Reconciler) databaseFailed(s *scope, err error) {
	r.warn(s, "settling", err)
	s.report.False(v1alpha1.ConditionSettled, v1alpha1.ReasonDatabaseError, "%s", databaseProblem(err))
	s.within(retryInterval)
}

func (s *scope) violated(v *violation) {
	if s.report.True(v1alpha1.ConditionInvariantViolated, v.reason, "%s", v.message) {
		s.report.Warning("InvariantViolated", "Settle", "%s", v.message)
	}
	s.report.False(v1alpha1.ConditionSettled, v.reason, "not settled: %s", v.message)
	s.stall(v.reason, v.message)
	s.within(violatedInterval)
}

func (s *scope) settledWith(totals []provision.Total) {
	s.figures(totals)
	st := &s.promotion.Status
	for i := range st.Items {
		st.Items[i].Returned = st.Items[i].Left
	}
	st.SettledTime = metav1.NewTime(s.now)
	s.report.False(v1alpha1.ConditionInvariantViolated, v1alpha1.ReasonProved, "allocated + topped up = sold + returned for every item, in the log and in the database")
	message := fmt.Sprintf("%d units sold, %d returned to stock", *st.Sold, *st.Left)
	s.report.True(v1alpha1.ConditionSettled, v1alpha1.ReasonSettled, "%s", message)
	s.report.Normal("Settled", "Settle", "%s", message)
	if s.deleted() || s.promotion.Spec.Settlement.KeepLog != nil {
		s.within(time.Millisecond)
	}
}

// retain removes the log of a settled promotion once it need not be kept any longer, and lets a
// deleted one go.
func (r *Reconciler) retain(ctx context.Context, s *scope) (bool, error) {
	if !s.settled() {
		return false, nil
	}
	st := &s.promotion.Status
	due := s.deleted()
	if keep := s.promotion.Spec.Settlement.KeepLog; keep != nil {
		until := st.SettledTime.Add(keep.Duration)
		due = !s.now.Before(until)
		s.at(until)
	}
	if due && st.LogRemovedTime.IsZero() && !st.ClosedTime.IsZero() {
		log, err := r.log(ctx, s)
		if err == nil {
			err = log.Remove(ctx, s.definition(true))
		}
		if err != nil {
			r.warn(s, "removing the log", err)
			s.within(retryInterval)
			return true, nil
		}
		st.LogRemovedTime = metav1.NewTime(s.now)
		s.report.Normal("LogRemoved", "Settle", "the promotion's log is removed")
	}
	s.finished = due && s.deleted()
	return true, nil
}
