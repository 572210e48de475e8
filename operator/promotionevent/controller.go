// Package promotionevent reconciles PromotionEvents: it prepares a sale's stock, partitions and pods
// ahead of the start, follows it while it is live, and settles it after the end. Every step may be
// repeated, so that killing the operator between any two of them and starting it again ends the same.
package promotionevent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/listing"
	"github.com/orderd-dev/orderd/operator/pace"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/orderd/sale"
)

const (
	// Finalizer keeps a deleted PromotionEvent until its unsold stock is back and its log is removed.
	Finalizer = "orderd.dev/settle"

	kind = "PromotionEvent"

	// retryInterval is how soon a reconcile that failed is tried again while the next thing is due soon.
	retryInterval = 2 * time.Second
	// dueSoon is as long as the queue may hold back a reconcile that failed.
	dueSoon = 10 * time.Second
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
	// Indexed: Client is a cache that finds PromotionEvents by their OrderCluster, see listing.Index.
	Indexed bool
	// ServerTime, if set, is asked in place of JetStream for the time that sales go by.
	ServerTime func(context.Context) (time.Time, error)
	// AfterStep, if set, is told of each step of a sale that succeeded; its error becomes the step's.
	AfterStep func(sale.Step, *flashv1.Promotion) error

	// counts keep what was counted of the promotions' logs from one reconcile to the next.
	counts sale.Counts
	needs  needs
	slots  slots
	// refused has what is refused again and again, so that it is tried less often.
	refused pace.Backoff
}

// +kubebuilder:rbac:groups=orderd.dev,resources=orderclusters,verbs=get;list;watch
// +kubebuilder:rbac:groups=orderd.dev,resources=promotionevents,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=orderd.dev,resources=promotionevents/status,verbs=get;patch
// +kubebuilder:rbac:groups="",resources=secrets;namespaces,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the reconciler and what wakes it up.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.needs.watch()
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.PromotionEvent{}, builder.WithPredicates(r.changed())).
		Watches(&v1alpha1.OrderCluster{}, handler.EnqueueRequestsFromMapFunc(r.promotionsOfCluster),
			builder.WithPredicates(clusterChanged())).
		WatchesRawSource(source.TypedFunc[reconcile.Request](r.slots.start)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers, ReconciliationTimeout: reconcileTimeout, RateLimiter: pace.RateLimiter(),
		}).
		Complete(r)
}

func (r *Reconciler) promotionsOfCluster(ctx context.Context, cluster client.Object) []reconcile.Request {
	promotions, err := listing.Promotions(ctx, r.Client, r.Indexed, cluster.GetNamespace(), cluster.GetName())
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

// phase is one step of a reconcile; stop ends the reconcile, with the status as it is then.
type phase struct {
	name string
	do   func(context.Context, *scope) (stop bool, err error)
}

// Reconcile brings one PromotionEvent as far as the clock and the facts allow. What it found is in the status whatever
// failed; the errors are returned as well, so that it is tried again.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	p := &v1alpha1.PromotionEvent{}
	if err := r.Client.Get(ctx, req.NamespacedName, p); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
		}
		r.slots.unused()
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	cluster := types.NamespacedName{Namespace: p.Namespace, Name: p.Spec.OrderClusterRef.Name}
	if !r.slots.take(cluster, req) {
		return ctrl.Result{}, nil
	}
	defer r.slots.give(cluster)
	return r.reconcile(ctx, p)
}

func (r *Reconciler) reconcile(ctx context.Context, p *v1alpha1.PromotionEvent) (ctrl.Result, error) {
	err := report.Forget(ctx, r.Client, r.Recorder, p, p.Status.UID)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	case err != nil:
		return ctrl.Result{}, err
	}
	if p.DeletionTimestamp.IsZero() && !controllerutil.ContainsFinalizer(p, Finalizer) {
		before := p.DeepCopy()
		controllerutil.AddFinalizer(p, Finalizer)
		if err = r.patch(ctx, p, before); apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return ctrl.Result{RequeueAfter: conflictDelay}, nil
		}
	}
	if err == nil && !controllerutil.ContainsFinalizer(p, Finalizer) {
		return ctrl.Result{}, nil
	}
	s := newScope(p, r.Clock())
	if err == nil {
		err = r.run(ctx, s)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		// The operator is being stopped: what failed says nothing about the promotion.
		return ctrl.Result{}, err
	}
	if err == nil && s.finished {
		before := p.DeepCopy()
		controllerutil.RemoveFinalizer(p, Finalizer)
		switch err = r.patch(ctx, p, before); {
		case err == nil || apierrors.IsNotFound(err):
			return ctrl.Result{}, nil
		case apierrors.IsConflict(err):
			return ctrl.Result{RequeueAfter: conflictDelay}, nil
		}
	}
	if err != nil {
		s.failed(err)
	}
	s.summarize()
	return r.outcome(s, err, s.report.Apply(ctx, r.Client, r.Recorder, &s.before, &p.Status))
}

// outcome says when to reconcile again: at the latest when the next thing is due, also after an error.
func (r *Reconciler) outcome(s *scope, failed, applied error) (ctrl.Result, error) {
	if failed == nil && apierrors.IsConflict(applied) {
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	}
	err := errors.Join(failed, client.IgnoreNotFound(applied))
	if err != nil && s.next > 0 && s.next <= dueSoon {
		// The queue's own delay could pass a start or an end.
		r.warn(s, "reconciling a PromotionEvent", err)
		return ctrl.Result{RequeueAfter: min(s.next, retryInterval)}, nil
	}
	return ctrl.Result{RequeueAfter: s.next}, err
}

// phases of a reconcile, in the order of a promotion's life. A promotion that is settled only
// waits for its log to go.
func (r *Reconciler) phases(settled bool) []phase {
	list := []phase{
		{"leave", r.leave}, {"find", r.findCluster}, {"read clock", r.readClock}, {"abandon", r.abandon},
		{"await", r.awaitCluster}, {"await clock", r.awaitClock}, {"sale", r.openSale},
	}
	if settled {
		return append(list, phase{"retain", r.retain})
	}
	return append(list, []phase{
		{"schedule", r.schedule}, {"adopt", r.adopt}, {"plan", r.plan}, {"allocate", r.allocate}, {"open", r.open},
		{"top up", r.topUp}, {"publish", r.publish},
		{"check", r.checkCapacity}, {"count", r.count}, {"settle", r.settle},
	}...)
}

func (r *Reconciler) run(ctx context.Context, s *scope) error {
	if s.before.ObservedGeneration != s.promotion.Generation {
		// What was refused may not be what is asked for now.
		r.forget(client.ObjectKeyFromObject(s.promotion))
	}
	for _, p := range r.phases(s.settled()) {
		s.doing, s.refused = p.name, false
		stop, err := p.do(ctx, s)
		if err == nil && !s.refused {
			r.refused.Forget(thing(client.ObjectKeyFromObject(s.promotion), p.name))
		}
		if err != nil || stop {
			return err
		}
	}
	return nil
}

// retry asks to be called again for the phase, which was refused: soon at first, and before it is due.
func (r *Reconciler) retry(s *scope) {
	s.refused = true
	var deadline time.Time
	if t := s.promotion.ReadyDeadline(); s.now.Before(t) {
		deadline = t
	}
	s.within(r.refused.Wait(thing(client.ObjectKeyFromObject(s.promotion), s.doing), s.now, deadline))
}

func (r *Reconciler) forget(promotion types.NamespacedName) {
	for _, settled := range []bool{false, true} {
		for _, p := range r.phases(settled) {
			r.refused.Forget(thing(promotion, p.name))
		}
	}
}

// thing names a promotion's phase in the back-off.
func thing(promotion types.NamespacedName, phase string) string {
	return promotion.String() + "/" + phase
}

func (r *Reconciler) patch(ctx context.Context, p, before *v1alpha1.PromotionEvent) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, p, patch, report.FieldOwner); err != nil {
		return fmt.Errorf("changing the finalizers of PromotionEvent %s: %w", p.Name, err)
	}
	return nil
}
