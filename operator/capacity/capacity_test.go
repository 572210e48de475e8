package capacity

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

var noon = time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)

func cluster(capacity *int32, least int32, most *int32) *v1alpha1.OrderCluster {
	c := &v1alpha1.OrderCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"}}
	c.Spec.Pools.Flash = v1alpha1.PoolSpec{CapacityRPS: capacity, Replicas: v1alpha1.PoolReplicas{Min: &least, Max: most}}
	return c
}

// promotion starts an hour after noon plus the offset, lasts an hour, and has a prewarm of ten minutes.
func promotion(peak int32, offset time.Duration) v1alpha1.PromotionEvent {
	p := v1alpha1.PromotionEvent{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}}
	p.Spec.OrderClusterRef.Name = "shop"
	p.Spec.StartTime = metav1.NewTime(noon.Add(time.Hour + offset))
	p.Spec.EndTime = metav1.NewTime(noon.Add(2*time.Hour + offset))
	p.Spec.Prewarm = &metav1.Duration{Duration: 10 * time.Minute}
	p.Spec.Traffic.ExpectedPeakRPS = peak
	return p
}

func TestReplicas(t *testing.T) {
	tests := map[string]struct {
		peak     int32
		capacity *int32
		want     int32
	}{
		"a quarter more than one pod": {peak: 1000, capacity: ptr.To[int32](1000), want: 2},
		"exactly one pod":             {peak: 800, capacity: ptr.To[int32](1000), want: 1},
		"one request above that":      {peak: 801, capacity: ptr.To[int32](1000), want: 2},
		"the sample":                  {peak: 3000, capacity: ptr.To[int32](1300), want: 3},
		"never none":                  {peak: 1, capacity: ptr.To[int32](1_000_000), want: 1},
		"capacity not measured":       {peak: 1600, want: 2},
		"the largest peak":            {peak: 10_000_000, capacity: ptr.To[int32](1), want: 12_500_000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := promotion(tt.peak, 0)
			if got := Replicas(cluster(tt.capacity, 1, nil), &p); got != tt.want {
				t.Errorf("Replicas() = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestPartitions(t *testing.T) {
	tests := map[string]struct {
		spec *int32
		peak int32
		want int32
	}{
		"as the spec says":     {spec: ptr.To[int32](8), peak: 1, want: 8},
		"two a pod":            {peak: 2000, want: 6},
		"never more than most": {peak: 1_000_000, want: 64},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := promotion(tt.peak, 0)
			p.Spec.Partitions = tt.spec
			if got := Partitions(cluster(ptr.To[int32](1000), 1, nil), &p); got != tt.want {
				t.Errorf("Partitions() = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestNeeded(t *testing.T) {
	first, second := promotion(2000, 0), promotion(4000, 30*time.Minute)
	elsewhere := promotion(9000, 0)
	elsewhere.Spec.OrderClusterRef.Name = "other"
	settled := promotion(9000, 0)
	settled.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSettled, Status: metav1.ConditionTrue}}
	deleted := promotion(9000, 0)
	deleted.DeletionTimestamp = ptr.To(metav1.NewTime(noon))
	all := []v1alpha1.PromotionEvent{first, second, elsewhere, settled, deleted}
	tests := map[string]struct {
		now  time.Time
		want int32
		next time.Time
	}{
		"long before":              {now: noon.Add(10 * time.Minute), want: 0, next: noon.Add(48 * time.Minute)},
		"before the first":         {now: noon.Add(48 * time.Minute), want: 3, next: noon.Add(78 * time.Minute)},
		"both windows overlap":     {now: noon.Add(90 * time.Minute), want: 8, next: noon.Add(2*time.Hour + 30*time.Second)},
		"after the first":          {now: noon.Add(2*time.Hour + 30*time.Second), want: 5, next: noon.Add(150*time.Minute + 30*time.Second)},
		"after both there is none": {now: noon.Add(3 * time.Hour), want: 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, next := Needed(cluster(ptr.To[int32](1000), 1, nil), all, tt.now)
			if got != tt.want || !next.Equal(tt.next) {
				t.Errorf("Needed() = %d, %s, want %d, %s", got, next, tt.want, tt.next)
			}
		})
	}
}

func TestDesired(t *testing.T) {
	tests := map[string]struct {
		min, needed int32
		max         *int32
		want        int32
		wantCapped  bool
	}{
		"nothing needed":    {min: 2, want: 2},
		"more than minimum": {min: 2, needed: 5, want: 5},
		"up to the maximum": {min: 1, needed: 4, max: ptr.To[int32](4), want: 4},
		"held down":         {min: 1, needed: 5, max: ptr.To[int32](4), want: 4, wantCapped: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, capped := Desired(cluster(nil, tt.min, tt.max), tt.needed)
			if got != tt.want || capped != tt.wantCapped {
				t.Errorf("Desired() = %d, %t, want %d, %t", got, capped, tt.want, tt.wantCapped)
			}
		})
	}
}
