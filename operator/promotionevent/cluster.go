package promotionevent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/orderd/sale"
)

// findCluster looks for the OrderCluster, which has to be migrated.
func (r *Reconciler) findCluster(ctx context.Context, s *scope) (bool, error) {
	name := s.promotion.Spec.OrderClusterRef.Name
	c := &v1alpha1.OrderCluster{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: s.promotion.Namespace, Name: name}, c)
	switch {
	case apierrors.IsNotFound(err):
		s.report.False(v1alpha1.ConditionClusterReady, v1alpha1.ReasonClusterNotFound, "OrderCluster %s does not exist", name)
	case err != nil:
		return false, fmt.Errorf("reading OrderCluster %s: %w", name, err)
	case c.MigratedRevision() == "":
		s.found = c
		s.report.False(v1alpha1.ConditionClusterReady, v1alpha1.ReasonClusterNotMigrated,
			"OrderCluster %s is not migrated yet", name)
	default:
		s.found, s.cluster = c, c
		s.report.True(v1alpha1.ConditionClusterReady, v1alpha1.ReasonClusterReady, "OrderCluster %s is migrated", name)
	}
	return false, nil
}

// abandon lets a promotion go that can never be settled: its namespace is being deleted, and took
// the OrderCluster or the Secrets along that lead to the stock and to the log. Held any longer it
// would hold its namespace for ever.
func (r *Reconciler) abandon(ctx context.Context, s *scope) (bool, error) {
	if !s.deleted() || s.cluster != nil && !r.secretsGone(ctx, s) {
		return false, nil
	}
	ns := &corev1.Namespace{}
	err := r.Reader.Get(ctx, types.NamespacedName{Name: s.promotion.Namespace}, ns)
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("reading namespace %s: %w", s.promotion.Namespace, err)
	}
	if err == nil && ns.DeletionTimestamp.IsZero() {
		return false, nil
	}
	if r.removeLog(ctx, s) {
		s.finished = true
		return true, nil
	}
	message := s.leftBehind()
	// No event can be made in a namespace that is being deleted; the log has it in any case.
	r.Log.Error("promotion given up: "+message,
		"namespace", s.promotion.Namespace, "promotionevent", s.promotion.Name, "uid", s.uid())
	r.Recorder.Eventf(s.promotion, nil, corev1.EventTypeWarning, "Abandoned", "Settle", "%s", report.Note(message))
	s.finished = true
	return true, nil
}

// leave lets a deleted promotion go that took nothing, whatever does not answer: what it takes is planned in its status
// first.
func (*Reconciler) leave(_ context.Context, s *scope) (bool, error) {
	st := &s.promotion.Status
	s.finished = s.deleted() && !s.settled() && st.Partitions == 0 && st.Adopted == ""
	return s.finished, nil
}

// removeLog removes the log of a settled promotion that need not be kept, if NATS can still be reached: that may be all
// that is left to be done.
func (r *Reconciler) removeLog(ctx context.Context, s *scope) bool {
	until, pinned := s.promotion.LogKept()
	kept := pinned && (s.unclocked != "" || s.now.Before(until))
	if !s.settled() || kept || s.cluster == nil {
		return false
	}
	if s.promotion.Status.ClosedTime.IsZero() || !s.promotion.Status.LogRemovedTime.IsZero() {
		return true
	}
	_, err := r.openSale(ctx, s)
	if err == nil {
		err = s.sale.Remove(ctx)
	}
	if err != nil {
		r.warn(s, "removing the log of a promotion that is given up", err)
	}
	return err == nil
}

// leftBehind says what becomes of the stock and of the log of a promotion that is given up.
func (s *scope) leftBehind() string {
	message := "its namespace is deleted, and with it what leads to the stock and to the log: "
	switch {
	case s.settled():
		message += "it was settled, and the unsold stock had been returned"
	case s.report.Is(v1alpha1.ConditionStockAllocated):
		message += "the unsold stock was not returned"
	default:
		message += "no stock is known to have been taken"
	}
	if s.promotion.Status.Streams == 0 || !s.promotion.Status.LogRemovedTime.IsZero() {
		return message
	}
	return fmt.Sprintf("%s; left in NATS: streams %s, and the entry %s in the bucket of promotions", message,
		strings.Join(sale.StreamNames(s.uid(), s.promotion.StreamCount()), ", "), s.uid())
}

// secretsGone reports whether a Secret is missing that stock or log are reached with.
func (r *Reconciler) secretsGone(ctx context.Context, s *scope) bool {
	ctx = backends.Fresh(ctx)
	_, database := r.Backends.Database(ctx, s.cluster)
	_, messaging := r.Backends.JetStream(ctx, s.cluster)
	for _, err := range []error{database, messaging} {
		var problem *backends.Error
		if errors.As(err, &problem) && problem.Reason == v1alpha1.ReasonSecretNotFound {
			return true
		}
	}
	return false
}

// awaitCluster stops here if the OrderCluster cannot be used. A deleted promotion that
// took nothing needs none.
func (r *Reconciler) awaitCluster(_ context.Context, s *scope) (bool, error) {
	if s.cluster != nil {
		return false, nil
	}
	switch {
	case s.report.Is(v1alpha1.ConditionStockAllocated) && !s.settled():
		// The OrderCluster's own finalizer waits for its promotions, so somebody
		// took it away by force.
		s.stall(v1alpha1.ReasonClusterNotFound, "OrderCluster "+s.promotion.Spec.OrderClusterRef.Name+
			" is gone, and with it the way to return the unsold stock")
	case s.deleted():
		s.finished = true
	case s.ended() && !s.settled():
		s.missed = true
		s.stall(v1alpha1.ReasonNeverOpened, "the window passed without an OrderCluster that could run the sale: "+
			s.report.Get(v1alpha1.ConditionClusterReady).Message)
	}
	return true, nil
}
