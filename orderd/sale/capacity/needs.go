package capacity

import (
	"cmp"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// Needs are what the promotions of one OrderCluster that are not settled need of its flash pool, in the order in which
// they were made.
type Needs []need

type need struct {
	uid          string
	made         time.Time
	from, to     time.Time
	start        time.Time
	expectedPeak int32
}

// NeedsOf the promotions in the list that name the OrderCluster.
func NeedsOf(namespace, cluster string, promotions []v1alpha1.PromotionEvent) Needs {
	var all Needs
	for i := range promotions {
		p := &promotions[i]
		if p.Spec.OrderClusterRef.Name != cluster || p.Namespace != namespace ||
			meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionSettled) {
			continue
		}
		from, to := Window(p)
		all = append(all, need{
			uid: string(p.UID), made: p.CreationTimestamp.Time, from: from, to: to, start: p.Spec.StartTime.Time,
			expectedPeak: p.Spec.Traffic.ExpectedPeakRPS,
		})
	}
	slices.SortFunc(all, func(a, b need) int { return cmp.Or(a.made.Compare(b.made), cmp.Compare(a.uid, b.uid)) })
	return all
}

func (n need) holds(now time.Time) bool { return !now.Before(n.from) && now.Before(n.to) }

// Total sums the replicas of the promotions whose windows hold now, and says when that next changes: zero for never.
func (all Needs) Total(c *v1alpha1.OrderCluster, now time.Time) (pods int32, next time.Time) {
	var sum int64
	for _, n := range all {
		if n.holds(now) {
			sum += int64(replicas(c, n.expectedPeak))
		}
		for _, t := range []time.Time{n.from, n.to} {
			if t.After(now) && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
	}
	return int32(min(sum, math.MaxInt32)), next
}

// Place of a promotion among those that need the flash pool at the same time.
type Place struct {
	// Own is how many pods it needs, Before how many those have that come before it.
	Own, Before int32
	// Fits: Own and Before are within the pool's maximum.
	Fits bool
}

// Place says whether the promotion fits into the flash pool now. Those that have begun come first, and then
// those that were made first: who prepares a sale later takes no pods from one that was promised them. One that does
// not fit leaves its place to those after it, and the others are as if it were not there; it shares what pods there
// are.
func (all Needs) Place(c *v1alpha1.OrderCluster, p *v1alpha1.PromotionEvent, now time.Time) Place {
	limit := int64(c.MaxFlashReplicas())
	var sum int64
	for _, begun := range []bool{true, false} {
		for _, n := range all {
			if !n.holds(now) || begun == now.Before(n.start) {
				continue
			}
			own := replicas(c, n.expectedPeak)
			fits := sum+int64(own) <= limit
			if n.uid == string(p.UID) {
				return Place{Own: own, Before: int32(sum), Fits: fits}
			}
			if fits {
				sum += int64(own)
			}
		}
	}
	// It is so new that it is in no list yet.
	own := Replicas(c, p)
	return Place{Own: own, Before: int32(sum), Fits: sum+int64(own) <= limit}
}

// Needed is the Total of the promotions in the list that name the OrderCluster.
func Needed(
	c *v1alpha1.OrderCluster, promotions []v1alpha1.PromotionEvent, now time.Time,
) (replicas int32, next time.Time) {
	return NeedsOf(c.Namespace, c.Name, promotions).Total(c, now)
}

// Desired is how many pods the flash pool should have now: what the promotions need, within its bounds.
func Desired(c *v1alpha1.OrderCluster, needed int32) int32 {
	return min(max(needed, c.Spec.Pools.Flash.MinReplicas()), c.MaxFlashReplicas())
}
