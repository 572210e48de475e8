package ordercluster

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/specs"
)

// readPools counts the pods of each pool.
func (r *Reconciler) readPools(ctx context.Context, s *scope) error {
	s.poolsReady = true
	s.cluster.Status.Pools = nil
	for _, pool := range specs.Pools() {
		d, err := r.deployment(ctx, s, pool)
		if err != nil {
			return err
		}
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
		s.cluster.Status.Pools = append(s.cluster.Status.Pools, status)
		if *status.Available < *status.Desired || *status.Updated < *status.Desired {
			s.poolsReady = false
			s.poolsProblems = append(
				s.poolsProblems,
				fmt.Sprintf("%s: %d of %d pods available, %d up to date", pool, *status.Available, *status.Desired,
					*status.Updated),
			)
		}
	}
	return nil
}

// current reports whether the Deployment's status is about the pods that it should have now.
func (s *scope) current(d *appsv1.Deployment, pool string) bool {
	return d.Status.ObservedGeneration >= d.Generation &&
		d.Spec.Replicas != nil && *d.Spec.Replicas == s.desired[pool] &&
		d.Spec.Template.Annotations[specs.ConfigHashAnnotation] == s.configHash &&
		len(d.Spec.Template.Spec.Containers) > 0 && d.Spec.Template.Spec.Containers[0].Image == s.cluster.Spec.Image
}

// summarize sets Progressing and Ready from what the phases found.
func (s *scope) summarize() {
	st := &s.cluster.Status
	st.ObservedGeneration = s.cluster.Generation
	st.Endpoint = specs.Endpoint(s.cluster, v1alpha1.PoolStandard)
	st.FlashEndpoint = specs.Endpoint(s.cluster, v1alpha1.PoolFlash)

	switch {
	case !s.migrated && !s.databaseReady:
		s.report.False(v1alpha1.ConditionProgressing, v1alpha1.ReasonWaiting, "waiting for the database")
	case !s.migrated:
		s.report.True(v1alpha1.ConditionProgressing, v1alpha1.ReasonMigrating, "migrating the database")
	case !s.poolsReady:
		s.report.True(v1alpha1.ConditionProgressing, v1alpha1.ReasonRollingOut, "%s", strings.Join(s.poolsProblems, "; "))
	default:
		s.report.False(v1alpha1.ConditionProgressing, v1alpha1.ReasonComplete, "the platform is as its spec says")
	}
	s.summarizeReady()
}

func (s *scope) summarizeReady() {
	if !s.cluster.DeletionTimestamp.IsZero() {
		var names []string
		for _, p := range s.promotions {
			names = append(names, p.Name)
		}
		s.report.False(v1alpha1.ConditionReady, v1alpha1.ReasonDeleting,
			"being deleted, once these PromotionEvents are deleted and settled: %s", strings.Join(names, ", "))
		return
	}
	for _, condition := range []string{
		v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionMessagingReady, v1alpha1.ConditionMigrated,
	} {
		if c := s.report.Get(condition); c != nil && !s.report.Is(condition) {
			s.report.False(v1alpha1.ConditionReady, c.Reason, "%s: %s", condition, c.Message)
			return
		}
	}
	if len(s.missingSecrets) > 0 {
		s.report.False(v1alpha1.ConditionReady, v1alpha1.ReasonSecretNotFound, "%s", strings.Join(s.missingSecrets, "; "))
		return
	}
	if !s.poolsReady {
		s.report.False(v1alpha1.ConditionReady, v1alpha1.ReasonPoolsNotReady, "%s", strings.Join(s.poolsProblems, "; "))
		return
	}
	if s.report.True(v1alpha1.ConditionReady, v1alpha1.ReasonAllReady, "database, messaging and all pools are ready") {
		s.report.Normal("Ready", "Reconcile", "database, messaging and all pools are ready")
	}
}
