package ordercluster

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/specs"
)

// leaveScale takes for desired what whoever scales a pool has made of it. A pool that cannot be read is told of when it
// is to be applied, and keeps no other back.
func (r *Reconciler) leaveScale(ctx context.Context, s *scope) {
	for _, pool := range specs.Pools() {
		if d, err := r.deployment(ctx, s, pool); err == nil {
			r.leavePool(ctx, s, pool, d)
		}
	}
}

// leavePool is leaveScale for a pool whose Deployment was just read. It is asked again before the pool is
// scaled: it may have been scaled since by who does, and that must not be taken back.
func (r *Reconciler) leavePool(ctx context.Context, s *scope, pool string, d *appsv1.Deployment) {
	by := s.cluster.ScaledBy(pool)
	if by == "" && pool == v1alpha1.PoolFlash {
		// Its promotions need the pods that they need.
		return
	}
	if d == nil || d.Spec.Replicas == nil || isUnscaled(d) {
		// Who scales a Deployment that was only just made has not been asked yet.
		return
	}
	if by == "" && (*d.Spec.Replicas == s.desired[pool] || !r.hasAutoscaler(ctx, s, d.Name)) {
		return
	}
	s.desired[pool] = *d.Spec.Replicas
	if spec := s.cluster.Pool(pool); by == v1alpha1.ScalerHPA {
		// It is about to do so itself, unless it lacks figures.
		s.desired[pool] = min(max(*d.Spec.Replicas, spec.MinReplicas()), *spec.Replicas.Max)
	}
}

// hasAutoscaler reports whether somebody else's HorizontalPodAutoscaler scales the Deployment, though the spec does not
// say so: two who scale would never agree. Unknown is no: the pool has its size then, as the spec says.
func (r *Reconciler) hasAutoscaler(ctx context.Context, s *scope, deployment string) bool {
	var list autoscalingv2.HorizontalPodAutoscalerList
	// Only the operator's own are in the cache.
	if err := r.Reader.List(ctx, &list, client.InNamespace(s.cluster.Namespace)); err != nil {
		r.Log.Warn("looking for autoscalers", "namespace", s.cluster.Namespace, "ordercluster", s.cluster.Name, "error", err)
		return false
	}
	return slices.ContainsFunc(list.Items, func(h autoscalingv2.HorizontalPodAutoscaler) bool {
		target := h.Spec.ScaleTargetRef
		return target.Kind == "Deployment" && target.Name == deployment && !metav1.IsControlledBy(&h, s.cluster)
	})
}

// removeAutoscaler deletes a pool's HorizontalPodAutoscaler if the spec wants none any more.
func (r *Reconciler) removeAutoscaler(ctx context.Context, s *scope, pool string) error {
	if s.cluster.ScaledBy(pool) == v1alpha1.ScalerHPA {
		return nil
	}
	key := types.NamespacedName{Namespace: s.cluster.Namespace, Name: specs.PoolName(s.cluster.Name, pool)}
	var old autoscalingv2.HorizontalPodAutoscaler
	if err := r.Client.Get(ctx, key, &old); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !metav1.IsControlledBy(&old, s.cluster) {
		return nil
	}
	if err := r.Client.Delete(ctx, &old, client.Preconditions{UID: ptr.To(old.UID)}); client.IgnoreNotFound(err) != nil {
		return &objectError{"deleting", "HorizontalPodAutoscaler " + key.Name, err}
	}
	r.applied.drop(client.ObjectKeyFromObject(s.cluster), "HorizontalPodAutoscaler", key.Name)
	return nil
}
