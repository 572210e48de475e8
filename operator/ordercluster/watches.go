package ordercluster

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/pace"
	"github.com/orderd-dev/orderd/operator/specs"
)

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
		Owns(&corev1.Service{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Owns(&corev1.ServiceAccount{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Owns(&networkingv1.NetworkPolicy{}, builder.WithPredicates(appliedChanged())).
		Owns(&autoscalingv2.HorizontalPodAutoscaler{}, builder.WithPredicates(appliedChanged())).
		Owns(&policyv1.PodDisruptionBudget{}, builder.WithPredicates(appliedChanged())).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.clustersOfSecret)).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(clusterOfPod),
			builder.WithPredicates(troubleChanged())).
		Watches(&v1alpha1.PromotionEvent{}, handler.EnqueueRequestsFromMapFunc(clusterOfPromotion),
			builder.WithPredicates(capacityChanged())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: 4, ReconciliationTimeout: reconcileTimeout, RateLimiter: pace.RateLimiter(),
		}).
		Complete(r)
}

// appliedChanged passes what changes something that was applied, and not a status. Kinds without a generation have to
// be watched by their resource version.
func appliedChanged() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{},
		predicate.AnnotationChangedPredicate{})
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

// clusterOfPod goes by the pod's label: between it and the OrderCluster there is a ReplicaSet or a Job.
func clusterOfPod(_ context.Context, pod client.Object) []reconcile.Request {
	name := pod.GetLabels()[instanceLabel]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: pod.GetNamespace(), Name: name}}}
}

// troubleChanged passes what changes why a pod does not start, and not its other changes: those that matter change its
// Deployment or its Job, too.
func troubleChanged() predicate.Predicate {
	of := func(o client.Object) trouble { return podTrouble(o.(*corev1.Pod)) }
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return of(e.Object) != trouble{} },
		UpdateFunc: func(e event.UpdateEvent) bool { return of(e.ObjectOld) != of(e.ObjectNew) },
		DeleteFunc: func(e event.DeleteEvent) bool { return of(e.Object) != trouble{} },
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
