// Package ordercluster reconciles OrderClusters: it checks their database and messaging, migrates,
// and keeps the pools as the spec and the promotions want them.
package ordercluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
	"github.com/orderd-dev/orderd/operator/listing"
	"github.com/orderd-dev/orderd/operator/report"
)

const (
	// Finalizer keeps an OrderCluster until its promotions are settled and gone: they need its
	// database and messaging.
	Finalizer = "orderd.dev/promotions"

	kind = "OrderCluster"
	// secretIndex finds OrderClusters by the Secrets they name.
	secretIndex = "spec.secrets"
	// The labels that say which OrderCluster's and which pool's a pod is.
	instanceLabel  = "app.kubernetes.io/instance"
	componentLabel = "app.kubernetes.io/component"

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
	// ServerTime, if set, is asked in place of JetStream for the time that sales go by.
	ServerTime func(context.Context) (time.Time, error)
	// Version of the operator. A roll that comes from another one takes turns with other OrderClusters'.
	Version string
	Log     *slog.Logger
	// Indexed: Client is a cache that finds PromotionEvents by their OrderCluster, see listing.Index.
	Indexed bool

	// applied keeps from sending again what is as it should be.
	applied applied
	turns   turns
	// givingBack is when each deleted OrderCluster, by its UID, began to give its NATS account back.
	givingBack sync.Map
}

// +kubebuilder:rbac:groups=orderd.dev,resources=orderclusters,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=orderd.dev,resources=orderclusters/status,verbs=get;patch
// +kubebuilder:rbac:groups=orderd.dev,resources=orderclusters/finalizers,verbs=update
// +kubebuilder:rbac:groups=orderd.dev,resources=promotionevents,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=serviceaccounts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=events,verbs=list
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=create,namespace=orderd-system
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,resourceNames=orderd-operator,verbs=get;update,namespace=orderd-system
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch,namespace=orderd-system

// phase is one step of a reconcile. Its error is told by the condition, and the phases after it go on with what is
// known without it.
type phase struct {
	condition string
	do        func(context.Context, *scope) error
}

func (r *Reconciler) phases() []phase {
	return []phase{
		{v1alpha1.ConditionApplied, r.readPromotions},
		{v1alpha1.ConditionApplied, r.readConfig},
		{v1alpha1.ConditionApplied, r.checkConfig},
		{v1alpha1.ConditionDatabaseReady, r.checkDatabase},
		{v1alpha1.ConditionMessagingReady, r.checkMessaging},
		{v1alpha1.ConditionClockInSync, r.checkClock},
		{v1alpha1.ConditionSecure, r.checkSecure},
		{v1alpha1.ConditionMigrated, r.migrate},
		{v1alpha1.ConditionApplied, r.applyKeys},
		{v1alpha1.ConditionApplied, r.applyPools},
		{v1alpha1.ConditionProgressing, r.readPools},
	}
}

// Reconcile brings one OrderCluster closer to its spec. What it found is in the status whatever failed; the errors are
// returned as well, so that it is tried again.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	c := &v1alpha1.OrderCluster{}
	if err := r.Client.Get(ctx, req.NamespacedName, c); err != nil {
		if apierrors.IsNotFound(err) {
			r.Backends.Forget(req.NamespacedName)
			r.applied.forget(req.NamespacedName)
			r.turns.give(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	err := report.Forget(ctx, r.Client, r.Recorder, c, c.Status.UID)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	case err != nil:
		return ctrl.Result{}, err
	}
	done, err := r.finalize(ctx, c)
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	case done:
		return ctrl.Result{}, err
	}
	s := newScope(c, r.Clock())
	if err != nil {
		// Nothing is made for an OrderCluster that could be deleted under its promotions.
		s.fail(v1alpha1.ConditionApplied, err)
	} else {
		err = r.run(ctx, s)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		// The operator is being stopped: what failed says nothing about the OrderCluster.
		return ctrl.Result{}, err
	}
	s.summarize()
	applied := s.report.Apply(ctx, r.Client, r.Recorder, &s.before, &c.Status)
	switch {
	case err != nil:
		return ctrl.Result{}, errors.Join(err, client.IgnoreNotFound(applied))
	case apierrors.IsConflict(applied):
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	}
	return ctrl.Result{RequeueAfter: s.next}, client.IgnoreNotFound(applied)
}

// run goes through all phases, whatever fails.
func (r *Reconciler) run(ctx context.Context, s *scope) error {
	var failed []error
	for _, p := range r.phases() {
		if err := p.do(ctx, s); err != nil {
			s.fail(p.condition, err)
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
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
	if err := r.giveBack(ctx, c); err != nil {
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

// promotions are those that name the OrderCluster. They may be the cache's own.
func (r *Reconciler) promotions(ctx context.Context, c *v1alpha1.OrderCluster) ([]v1alpha1.PromotionEvent, error) {
	return listing.Promotions(ctx, r.Client, r.Indexed, c.Namespace, c.Name)
}
