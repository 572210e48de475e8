package ordercluster

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/report"
	"github.com/orderd-dev/orderd/operator/specs"
)

// readPools counts the pods of each pool, and finds out why some do not start.
func (r *Reconciler) readPools(ctx context.Context, s *scope) error {
	s.cluster.Status.Pools = nil
	var failed refusals
	var known, unknown []report.Problem
	for _, pool := range specs.Pools() {
		d, err := r.deployment(ctx, s, pool)
		if err != nil {
			failed = append(failed, err)
		}
		status := s.poolStatus(d, pool)
		s.cluster.Status.Pools = append(s.cluster.Status.Pools, status)
		if *status.Available >= *status.Desired && (*status.Updated >= *status.Desired || s.holds[pool] != nil) {
			continue
		}
		text := fmt.Sprintf("%s: %d of %d pods available, %d up to date", pool, *status.Available, *status.Desired,
			*status.Updated)
		found, err := r.poolTroubles(ctx, s, d, pool)
		if err != nil {
			failed = append(failed, err)
		}
		if len(found) == 0 {
			unknown = append(unknown, report.Problem{Reason: v1alpha1.ReasonPoolsNotReady, Text: text})
		}
		for _, t := range found {
			what := pool + ": "
			known = append(known, report.Problem{
				Reason: t.reason, Action: action("Start", pool), Key: what + t.reason, Text: what + t.String(),
			})
		}
	}
	s.unready = slices.Concat(known, unknown)
	r.endTurn(s)
	if len(failed) > 0 {
		return failed
	}
	return nil
}

func (s *scope) poolStatus(d *appsv1.Deployment, pool string) v1alpha1.PoolStatus {
	status := v1alpha1.PoolStatus{
		Name:      pool,
		Desired:   ptr.To(s.desired[pool]),
		Updated:   ptr.To[int32](0),
		Available: ptr.To[int32](0),
	}
	if d != nil {
		status.Available = ptr.To(d.Status.AvailableReplicas)
		if s.current(d, pool) {
			status.Updated = ptr.To(d.Status.UpdatedReplicas)
		}
	}
	return status
}

// current reports whether the Deployment's status is about the pods that it should have now.
func (s *scope) current(d *appsv1.Deployment, pool string) bool {
	return d.Status.ObservedGeneration >= d.Generation &&
		d.Spec.Replicas != nil && *d.Spec.Replicas == s.desired[pool] &&
		(len(s.starts) == 0 || d.Annotations[specs.TemplateAnnotation] == specs.Template(s.cluster, pool, s.starts[pool])) &&
		len(d.Spec.Template.Spec.Containers) > 0 && d.Spec.Template.Spec.Containers[0].Image == s.cluster.Spec.Image
}

// poolTroubles are what the Deployment and its pods are kept back by; none: they are on their way, or not made yet.
func (r *Reconciler) poolTroubles(
	ctx context.Context, s *scope, d *appsv1.Deployment, pool string,
) ([]trouble, error) {
	if d == nil {
		return nil, nil
	}
	pods, err := r.pods(ctx, s, func(pod *corev1.Pod) bool { return pod.Labels[componentLabel] == pool })
	if err != nil {
		return nil, err
	}
	// What pods say is nearer to the cause than what the Deployment says of them.
	return append(podTroubles(pods), deploymentTrouble(d)...), nil
}

// pods of the OrderCluster that are wanted, as the cache has them: without their specs.
func (r *Reconciler) pods(ctx context.Context, s *scope, wanted func(*corev1.Pod) bool) ([]corev1.Pod, error) {
	if s.pods == nil {
		list := &corev1.PodList{}
		if err := r.Client.List(ctx, list, client.InNamespace(s.cluster.Namespace),
			client.MatchingLabels(specs.InstanceLabels(s.cluster.Name))); err != nil {
			return nil, fmt.Errorf("listing the pods of OrderCluster %s: %w", s.cluster.Name, err)
		}
		s.pods = list
	}
	var out []corev1.Pod
	for i := range s.pods.Items {
		if wanted(&s.pods.Items[i]) {
			out = append(out, s.pods.Items[i])
		}
	}
	return out, nil
}

func ownedBy(o metav1.Object) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool { return metav1.IsControlledBy(pod, o) }
}
