// Package ordercluster reconciles OrderClusters: it checks their database and messaging, migrates,
// and keeps the pools as the spec and the promotions want them.
package ordercluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/operator/specs"
)

const (
	// Finalizer keeps an OrderCluster until its promotions are settled and gone: they need its
	// database and messaging.
	Finalizer = "orderd.dev/promotions"

	kind = "OrderCluster"
	// secretIndex finds OrderClusters by the Secrets they name.
	secretIndex = "spec.secrets"

	// Database and messaging tell nobody when they go away or come back, so they are asked this
	// often.
	healthyInterval   = 30 * time.Second
	unhealthyInterval = 5 * time.Second
	// conflictDelay lets the cache catch up after somebody else changed the object.
	conflictDelay = 100 * time.Millisecond
	// reconcileTimeout bounds one reconcile; what it did not come to is done by the next.
	reconcileTimeout = 2 * time.Minute
)

// Reconciler reconciles OrderClusters.
type Reconciler struct {
	Client client.Client
	// Reader reads past the cache: Secrets, which the operator does not keep.
	Reader   client.Reader
	Recorder events.EventRecorder
	Backends *backends.Registry
	Clock    func() time.Time
	Log      *slog.Logger
}

// +kubebuilder:rbac:groups=orderd.dev,resources=orderclusters,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=orderd.dev,resources=orderclusters/status,verbs=get;patch
// +kubebuilder:rbac:groups=orderd.dev,resources=orderclusters/finalizers,verbs=update
// +kubebuilder:rbac:groups=orderd.dev,resources=promotionevents,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=services;serviceaccounts,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;create;update;patch,namespace=orderd-system
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch,namespace=orderd-system

// SetupWithManager registers the reconciler and what wakes it up.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(
		context.Background(),
		&v1alpha1.OrderCluster{},
		secretIndex,
		func(o client.Object) []string {
			var names []string
			for _, ref := range specs.SecretRefs(o.(*v1alpha1.OrderCluster)) {
				names = append(names, ref.Name)
			}
			return names
		},
	)
	if err != nil {
		return fmt.Errorf("indexing OrderClusters by Secret: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.OrderCluster{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&appsv1.Deployment{}).
		Owns(&batchv1.Job{}).
		Owns(&corev1.ConfigMap{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Owns(&corev1.Service{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&corev1.ServiceAccount{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&networkingv1.NetworkPolicy{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&policyv1.PodDisruptionBudget{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.clustersOfSecret)).
		Watches(&v1alpha1.PromotionEvent{}, handler.EnqueueRequestsFromMapFunc(clusterOfPromotion),
			builder.WithPredicates(capacityChanged())).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4, ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
}

func (r *Reconciler) clustersOfSecret(ctx context.Context, secret client.Object) []reconcile.Request {
	var list v1alpha1.OrderClusterList
	if err := r.Client.List(ctx, &list, client.InNamespace(secret.GetNamespace()),
		client.MatchingFields{secretIndex: secret.GetName()}); err != nil {
		r.Log.Error("listing the OrderClusters of a Secret", "namespace", secret.GetNamespace(), "secret", secret.GetName(),
			"error", err)
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	if owner := metav1.GetControllerOf(secret); owner != nil && owner.Kind == kind {
		requests = append(requests,
			reconcile.Request{NamespacedName: types.NamespacedName{Namespace: secret.GetNamespace(), Name: owner.Name}})
	}
	return requests
}

func clusterOfPromotion(_ context.Context, o client.Object) []reconcile.Request {
	p := o.(*v1alpha1.PromotionEvent)
	return []reconcile.Request{
		{NamespacedName: types.NamespacedName{Namespace: p.Namespace, Name: p.Spec.OrderClusterRef.Name}},
	}
}

// capacityChanged passes what changes how many pods promotions need, and not the
// figures of a live one.
func capacityChanged() predicate.Predicate {
	settled := func(o client.Object) bool {
		return meta.IsStatusConditionTrue(o.(*v1alpha1.PromotionEvent).Status.Conditions, v1alpha1.ConditionSettled)
	}
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || settled(e.ObjectOld) != settled(e.ObjectNew)
	}}
}

// Reconcile brings one OrderCluster closer to its spec.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	c := &v1alpha1.OrderCluster{}
	if err := r.Client.Get(ctx, req.NamespacedName, c); err != nil {
		if apierrors.IsNotFound(err) {
			r.Backends.Forget(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	done, err := r.finalize(ctx, c)
	if done || err != nil {
		return ctrl.Result{}, err
	}
	s := newScope(c, r.Clock())
	defer func() {
		applied := s.report.Apply(ctx, r.Client, r.Recorder, &s.before, &c.Status)
		switch {
		case apierrors.IsNotFound(applied):
		case apierrors.IsConflict(applied) && err == nil:
			result = ctrl.Result{RequeueAfter: conflictDelay}
		case applied != nil && err == nil:
			err = applied
		}
	}()
	if c.IsPaused() {
		s.report.False(v1alpha1.ConditionProgressing, v1alpha1.ReasonPaused, "spec.paused: nothing is changed")
		c.Status.ObservedGeneration = c.Generation
		return ctrl.Result{}, nil
	}
	for _, phase := range []func(context.Context, *scope) error{
		r.readConfig, r.checkDatabase, r.checkMessaging, r.migrate, r.applyKeys, r.applyPools, r.readPools,
	} {
		if err = phase(ctx, s); err != nil {
			return ctrl.Result{}, err
		}
	}
	s.summarize()
	return ctrl.Result{RequeueAfter: s.next}, nil
}

// finalize adds the finalizer, or removes it from a deleted OrderCluster that no promotion needs any
// more. Until then the platform runs on, so that they can settle.
func (r *Reconciler) finalize(ctx context.Context, c *v1alpha1.OrderCluster) (done bool, err error) {
	if c.DeletionTimestamp.IsZero() {
		if controllerutil.ContainsFinalizer(c, Finalizer) {
			return false, nil
		}
		before := c.DeepCopy()
		controllerutil.AddFinalizer(c, Finalizer)
		return false, r.patch(ctx, c, before)
	}
	if !controllerutil.ContainsFinalizer(c, Finalizer) {
		return true, nil
	}
	promotions, err := r.promotions(ctx, c)
	if err != nil || len(promotions) > 0 {
		return false, err
	}
	before := c.DeepCopy()
	controllerutil.RemoveFinalizer(c, Finalizer)
	return true, client.IgnoreNotFound(r.patch(ctx, c, before))
}

func (r *Reconciler) patch(ctx context.Context, c, before *v1alpha1.OrderCluster) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, c, patch, report.FieldOwner); err != nil {
		return fmt.Errorf("changing the finalizers of OrderCluster %s: %w", c.Name, err)
	}
	return nil
}

// promotions are those that name the OrderCluster.
func (r *Reconciler) promotions(ctx context.Context, c *v1alpha1.OrderCluster) ([]v1alpha1.PromotionEvent, error) {
	var list v1alpha1.PromotionEventList
	if err := r.Client.List(ctx, &list, client.InNamespace(c.Namespace)); err != nil {
		return nil, fmt.Errorf("listing the promotions of OrderCluster %s: %w", c.Name, err)
	}
	return slices.DeleteFunc(list.Items,
		func(p v1alpha1.PromotionEvent) bool { return p.Spec.OrderClusterRef.Name != c.Name }), nil
}
