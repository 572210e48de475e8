package ordercluster

import (
	"context"

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
		by := s.cluster.ScaledBy(pool)
		if by == "" {
			continue
		}
		d, err := r.deployment(ctx, s, pool)
		if err != nil || d == nil || d.Spec.Replicas == nil {
			continue
		}
		s.desired[pool] = *d.Spec.Replicas
		if spec := s.cluster.Pool(pool); by == v1alpha1.ScalerHPA {
			// It is about to do so itself, unless it lacks figures.
			s.desired[pool] = min(max(*d.Spec.Replicas, spec.MinReplicas()), *spec.Replicas.Max)
		}
	}
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
