// Package capacity computes how many flash pods the promotions of an OrderCluster need. It is pure, so
// that both controllers come to the same answer from the same objects.
package capacity

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

const (
	// headroomPercent of the expected peak is what pods are provided for: room for a pod that dies and for a peak
	// that was guessed too low.
	headroomPercent = 125
	// defaultCapacityRPS of a pod, until it was measured.
	defaultCapacityRPS = 1000
	// scaleLead is how long before the prewarm deadline the pool is scaled, so that pods have started by then.
	scaleLead = 2 * time.Minute
	// scaleLag is how long after the end the pool keeps its size: those who come too late are still answered.
	scaleLag = 30 * time.Second
	// partitionsPerPod and maxPartitions: see the field partitions of PromotionEventSpec.
	partitionsPerPod = 2
	maxPartitions    = 64
)

// Replicas is how many flash pods one promotion needs: ceil(peak x headroom / capacity of a pod).
func Replicas(c *v1alpha1.OrderCluster, p *v1alpha1.PromotionEvent) int32 {
	capacity := int64(defaultCapacityRPS)
	if n := c.Spec.Pools.Flash.CapacityRPS; n != nil {
		capacity = int64(*n)
	}
	need := int64(p.Spec.Traffic.ExpectedPeakRPS) * headroomPercent
	return int32((need + 100*capacity - 1) / (100 * capacity))
}

// Partitions is how many partitions a promotion gets: what its spec says, else two for each pod it needs.
func Partitions(c *v1alpha1.OrderCluster, p *v1alpha1.PromotionEvent) int32 {
	if n := p.Spec.Partitions; n != nil {
		return *n
	}
	return min(maxPartitions, partitionsPerPod*Replicas(c, p))
}

// Window is when the flash pool has to have the promotion's replicas.
func Window(p *v1alpha1.PromotionEvent) (from, to time.Time) {
	return p.ReadyDeadline().Add(-scaleLead), p.End().Add(scaleLag)
}

// Needed sums the replicas of the promotions whose windows hold now, and says when that next changes:
// zero for never.
func Needed(c *v1alpha1.OrderCluster, promotions []v1alpha1.PromotionEvent, now time.Time) (replicas int32, next time.Time) {
	for i := range promotions {
		p := &promotions[i]
		if p.Spec.OrderClusterRef.Name != c.Name || p.Namespace != c.Namespace ||
			meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionSettled) {
			continue
		}
		from, to := Window(p)
		if !now.Before(from) && now.Before(to) {
			replicas += Replicas(c, p)
		}
		for _, t := range []time.Time{from, to} {
			if t.After(now) && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
	}
	return replicas, next
}

// Desired is how many pods the flash pool should have now, and whether its maximum holds it below what
// the promotions need.
func Desired(c *v1alpha1.OrderCluster, needed int32) (replicas int32, capped bool) {
	pool := c.Spec.Pools.Flash
	replicas = max(needed, pool.MinReplicas())
	if limit := pool.Replicas.Max; limit != nil && replicas > *limit {
		return *limit, true
	}
	return replicas, false
}
