package promotionevent

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
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
	case c.Status.Migration.Revision == "":
		s.report.False(v1alpha1.ConditionClusterReady, v1alpha1.ReasonClusterNotMigrated,
			"OrderCluster %s is not migrated yet", name)
	default:
		s.cluster = c
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
	const message = "its namespace is deleted, and with it what leads to the stock and to the log: " +
		"the unsold stock was not returned"
	// No event can be made in a namespace that is being deleted; the log has it in any case.
	r.Log.Error("promotion given up: "+message,
		"namespace", s.promotion.Namespace, "promotionevent", s.promotion.Name, "uid", s.uid())
	r.Recorder.Eventf(s.promotion, nil, corev1.EventTypeWarning, "Abandoned", "Settle", "%s", message)
	s.finished = true
	return true, nil
}

// secretsGone reports whether a Secret is missing that stock or log are reached with.
func (r *Reconciler) secretsGone(ctx context.Context, s *scope) bool {
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
	if s.report.Is(v1alpha1.ConditionStockAllocated) && !s.settled() {
		// The OrderCluster's own finalizer waits for its promotions, so somebody
		// took it away by force.
		s.stall(v1alpha1.ReasonClusterNotFound, "OrderCluster "+s.promotion.Spec.OrderClusterRef.Name+
			" is gone, and with it the way to return the unsold stock")
	} else if s.deleted() {
		s.finished = true
	}
	return true, nil
}
