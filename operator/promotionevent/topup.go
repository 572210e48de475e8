package promotionevent

import (
	"context"
	"errors"
	"slices"

	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/orderd/sale"
)

// topUp moves what the spec asks for beyond the allocation in the database. The pods are told of it
// by publish, of all of it each time: an operator that dies in between repeats it exactly. What is
// short leaves the sale as it is.
func (r *Reconciler) topUp(ctx context.Context, s *scope) (bool, error) {
	if s.ended() || s.toppedUpBefore() {
		return false, nil
	}
	const condition = v1alpha1.ConditionToppedUp
	err := s.sale.TopUp(ctx)
	var insufficient *sale.InsufficientError
	var unknown *sale.UnknownSKUError
	switch {
	case err == nil:
		s.toppedUp = true
	case errors.As(err, &insufficient):
		r.notToppedUp(s, v1alpha1.ReasonInsufficientStock,
			"missing "+unitsOf(insufficient.Missing)+"; nothing of them was added, and the sale goes on")
	case errors.As(err, &unknown):
		r.notToppedUp(s, v1alpha1.ReasonUnknownSKU,
			"the catalog does not have "+report.Few(unknown.SKUs)+" any more; "+
				"nothing of them was added, and the sale goes on")
	case errors.Is(err, sale.ErrTooManyTopUps):
		r.notToppedUp(s, v1alpha1.ReasonTooManyTopUps, err.Error())
	default:
		r.warn(s, "adding stock", err)
		s.report.False(condition, v1alpha1.ReasonDatabaseError, "%s", databaseProblem(err))
		r.retry(s)
	}
	return false, nil
}

// toppedUpBefore reports whether the database need not be asked: nothing was changed
// since, or no item's stock.
func (s *scope) toppedUpBefore() bool {
	if !s.report.Is(v1alpha1.ConditionToppedUp) {
		return false
	}
	if s.report.Get(v1alpha1.ConditionToppedUp).ObservedGeneration == s.promotion.Generation {
		return true
	}
	s.toppedUp = !s.lacksStock()
	return s.toppedUp
}

// lacksStock reports whether the spec asks for more of an item than the sale had by its figures.
func (s *scope) lacksStock() bool {
	have := map[string]int64{}
	for _, item := range s.promotion.Status.Items {
		have[item.SKU] = ptr.Deref(item.Allocated, 0)
	}
	lacks := func(item v1alpha1.PromotionItem) bool { return item.Stock > have[item.SKU] }
	return slices.ContainsFunc(s.promotion.Spec.Items, lacks)
}

func (s *scope) hasStock() {
	s.report.True(v1alpha1.ConditionToppedUp, v1alpha1.ReasonToppedUp, "the sale has the stock that the spec asks for")
}

// notToppedUp waits for a person to put more into stock, which nothing tells the operator about.
func (r *Reconciler) notToppedUp(s *scope, reason, message string) {
	before := s.report.Get(v1alpha1.ConditionToppedUp)
	if before == nil || before.Reason != reason || before.ObservedGeneration != s.promotion.Generation {
		s.report.Warning(reason, s.action("TopUp"), "%s", message)
	}
	s.report.False(v1alpha1.ConditionToppedUp, reason, "%s", message)
	r.retry(s)
}

// allocatedMore brings the figures of a sale that nothing is sold of yet up to date. The pods were
// told before: an item that has its stock here is not looked at again.
func (s *scope) allocatedMore() {
	wanted := map[string]int64{}
	for _, item := range s.promotion.Spec.Items {
		wanted[item.SKU] = item.Stock
	}
	st := &s.promotion.Status
	var left int64
	for i := range st.Items {
		st.Items[i].Allocated, st.Items[i].Left = ptr.To(wanted[st.Items[i].SKU]), ptr.To(wanted[st.Items[i].SKU])
		left += wanted[st.Items[i].SKU]
	}
	st.Left = ptr.To(left)
}
