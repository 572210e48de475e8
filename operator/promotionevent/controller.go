// Package promotionevent reconciles PromotionEvents: it prepares a sale's stock, partitions and pods
// ahead of the start, follows it while it is live, and settles it after the end. Every step may be
// repeated, so that killing the operator between any two of them and starting it again ends the same.
package promotionevent

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/orderd/sale"
)

const (
	// Finalizer keeps a deleted PromotionEvent until its unsold stock is back and its log is removed.
	Finalizer = "orderd.dev/settle"

	kind = "PromotionEvent"

	// retryInterval is how soon a step that failed is tried again. It does not grow: a sale
	// may be about to start.
	retryInterval = 2 * time.Second
	// conflictDelay lets the cache catch up after somebody else changed the object.
	conflictDelay = 100 * time.Millisecond
	// reconcileTimeout bounds one reconcile; what it did not come to is done by the next.
	reconcileTimeout = 2 * time.Minute
)

// Reconciler reconciles PromotionEvents.
type Reconciler struct {
	Client client.Client
	// Reader reads past the cache: namespaces, which the operator does not keep.
	Reader   client.Reader
	Recorder events.EventRecorder
	Backends Backends
	Clock    func() time.Time
	Log      *slog.Logger
	// AfterStep, if set, is told of each step of a sale that succeeded; its error becomes the step's.
	AfterStep func(sale.Step, *flashv1.Promotion) error

	// counts keep what was counted of the promotions' logs from one reconcile to the next.
	counts sale.Counts
}

// +kubebuilder:rbac:groups=orderd.dev,resources=orderclusters,verbs=get;list;watch
// +kubebuilder:rbac:groups=orderd.dev,resources=promotionevents,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=orderd.dev,resources=promotionevents/status,verbs=get;patch
// +kubebuilder:rbac:groups="",resources=secrets;namespaces,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the reconciler and what wakes it up.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.PromotionEvent{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.OrderCluster{}, handler.EnqueueRequestsFromMapFunc(r.promotionsOfCluster)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 8, ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
}

func (r *Reconciler) promotionsOfCluster(ctx context.Context, cluster client.Object) []reconcile.Request {
	promotions, err := r.promotions(ctx, cluster.GetNamespace(), cluster.GetName())
	if err != nil {
		r.Log.Error("listing the promotions of an OrderCluster",
			"namespace", cluster.GetNamespace(), "ordercluster", cluster.GetName(), "error", err)
		return nil
	}
	var requests []reconcile.Request
	for i := range promotions {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&promotions[i])})
	}
	return requests
}

func (r *Reconciler) promotions(ctx context.Context, namespace, cluster string) ([]v1alpha1.PromotionEvent, error) {
	var list v1alpha1.PromotionEventList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing the promotions of OrderCluster %s: %w", cluster, err)
	}
	others := func(p v1alpha1.PromotionEvent) bool { return p.Spec.OrderClusterRef.Name != cluster }
	return slices.DeleteFunc(list.Items, others), nil
}

// phase is one step of a reconcile; stop ends the reconcile, with the status as it is then.
type phase func(context.Context, *scope) (stop bool, err error)

// Reconcile brings one PromotionEvent as far as the clock and the facts allow.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	p := &v1alpha1.PromotionEvent{}
	if err := r.Client.Get(ctx, req.NamespacedName, p); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if p.DeletionTimestamp.IsZero() && !controllerutil.ContainsFinalizer(p, Finalizer) {
		before := p.DeepCopy()
		controllerutil.AddFinalizer(p, Finalizer)
		if err := r.patch(ctx, p, before); err != nil {
			return ctrl.Result{}, err
		}
	}
	if !controllerutil.ContainsFinalizer(p, Finalizer) {
		return ctrl.Result{}, nil
	}
	s := newScope(p, r.Clock())
	if err := r.run(ctx, s); err != nil {
		return ctrl.Result{}, r.applyStatus(ctx, s, err)
	}
	if s.finished {
		before := p.DeepCopy()
		controllerutil.RemoveFinalizer(p, Finalizer)
		return ctrl.Result{}, client.IgnoreNotFound(r.patch(ctx, p, before))
	}
	err = r.applyStatus(ctx, s, nil)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	}
	return ctrl.Result{RequeueAfter: s.next}, client.IgnoreNotFound(err)
}

// phases of a reconcile, in the order of a promotion's life. A promotion that is settled only
// waits for its log to go.
func (r *Reconciler) phases(settled bool) []phase {
	list := []phase{r.findCluster, r.abandon, r.awaitCluster, r.openSale}
	if !settled {
		return append(list, r.plan, r.allocate, r.open, r.topUp, r.publish, r.checkCapacity, r.count, r.settle)
	}
	return append(list, r.retain)
}

func (r *Reconciler) run(ctx context.Context, s *scope) error {
	for _, phase := range r.phases(s.settled()) {
		stop, err := phase(ctx, s)
		if err != nil {
			return err
		}
		if stop {
			break
		}
	}
	s.summarize()
	return nil
}

// applyStatus writes what was found, also when a phase failed; the phase's error goes first.
func (r *Reconciler) applyStatus(ctx context.Context, s *scope, failed error) error {
	err := s.report.Apply(ctx, r.Client, r.Recorder, &s.before, &s.promotion.Status)
	if failed != nil {
		if err != nil {
			r.warn(s, "applying the status of a PromotionEvent", err)
		}
		return failed
	}
	return err
}

func (r *Reconciler) patch(ctx context.Context, p, before *v1alpha1.PromotionEvent) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, p, patch, report.FieldOwner); err != nil {
		return fmt.Errorf("changing the finalizers of PromotionEvent %s: %w", p.Name, err)
	}
	return nil
}
