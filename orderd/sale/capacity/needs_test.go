package capacity

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

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
		"long before":          {now: noon.Add(10 * time.Minute), want: 0, next: noon.Add(48 * time.Minute)},
		"before the first":     {now: noon.Add(48 * time.Minute), want: 3, next: noon.Add(78 * time.Minute)},
		"both windows overlap": {now: noon.Add(90 * time.Minute), want: 8, next: noon.Add(2*time.Hour + 30*time.Second)},
		"after the first": {
			now:  noon.Add(2*time.Hour + 30*time.Second),
			want: 5,
			next: noon.Add(150*time.Minute + 30*time.Second),
		},
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

func TestTheSumOfVeryManyDoesNotOverflow(t *testing.T) {
	all := make([]v1alpha1.PromotionEvent, 1000)
	for i := range all {
		all[i] = promotion(10_000_000, 0)
	}
	c := cluster(ptr.To[int32](1), 1, nil)
	needed, _ := Needed(c, all, noon.Add(time.Hour))
	if got := Desired(c, needed); needed <= 0 || got != 20 {
		t.Errorf("%d are needed, and %d desired", needed, got)
	}
}

func TestDesired(t *testing.T) {
	tests := map[string]struct {
		min, needed int32
		max         *int32
		want        int32
	}{
		"nothing needed":                   {min: 2, want: 2},
		"more than minimum":                {min: 2, needed: 5, want: 5},
		"up to the maximum":                {min: 1, needed: 4, max: ptr.To[int32](4), want: 4},
		"held down":                        {min: 1, needed: 5, max: ptr.To[int32](4), want: 4},
		"a digit too many":                 {min: 1, needed: 12_500_000, want: 20},
		"on purpose":                       {min: 1, needed: 100, max: ptr.To[int32](500), want: 100},
		"a minimum above what is unset":    {min: 30, needed: 31, want: 30},
		"at the maximum that is not set":   {min: 1, needed: 20, want: 20},
		"one more than that is held down":  {min: 1, needed: 21, want: 20},
		"the minimum, whatever is allowed": {min: 3, needed: 1, max: ptr.To[int32](3), want: 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Desired(cluster(nil, tt.min, tt.max), tt.needed); got != tt.want {
				t.Errorf("Desired() = %d, want %d", got, tt.want)
			}
		})
	}
}

// made is a promotion of a name, made some minutes after noon.
func made(name string, minute int, peak int32, offset time.Duration) v1alpha1.PromotionEvent {
	p := promotion(peak, offset)
	p.UID, p.CreationTimestamp = types.UID(name), metav1.NewTime(noon.Add(time.Duration(minute)*time.Minute))
	return p
}

func TestPlaces(t *testing.T) {
	// Each pod serves 1,000 a second, and a quarter more is provided for: 800 are one pod.
	const pod = 800
	window := noon.Add(time.Hour - 11*time.Minute)
	tests := map[string]struct {
		max  *int32
		all  []v1alpha1.PromotionEvent
		now  time.Time
		want map[string]Place
	}{
		"both fit": {
			max: ptr.To[int32](5), now: window,
			all:  []v1alpha1.PromotionEvent{made("b", 2, 2*pod, 0), made("a", 1, 3*pod, 0)},
			want: map[string]Place{"a": {Own: 3, Fits: true}, "b": {Own: 2, Before: 3, Fits: true}},
		},
		"the later one does not fit, alone": {
			max: ptr.To[int32](4), now: window,
			all:  []v1alpha1.PromotionEvent{made("b", 2, 2*pod, 0), made("a", 1, 3*pod, 0)},
			want: map[string]Place{"a": {Own: 3, Fits: true}, "b": {Own: 2, Before: 3}},
		},
		"it leaves its place to a smaller one": {
			max: ptr.To[int32](4), now: window,
			all: []v1alpha1.PromotionEvent{made("a", 1, 3*pod, 0), made("b", 2, 2*pod, 0), made("c", 3, pod, 0)},
			want: map[string]Place{
				"a": {Own: 3, Fits: true}, "b": {Own: 2, Before: 3}, "c": {Own: 1, Before: 3, Fits: true},
			},
		},
		"made in the same second: by UID": {
			max: ptr.To[int32](4), now: window,
			all:  []v1alpha1.PromotionEvent{made("b", 1, 2*pod, 0), made("a", 1, 3*pod, 0)},
			want: map[string]Place{"a": {Own: 3, Fits: true}, "b": {Own: 2, Before: 3}},
		},
		"a live one keeps its pods when one that was made before it comes": {
			max: ptr.To[int32](4), now: noon.Add(70 * time.Minute),
			all:  []v1alpha1.PromotionEvent{made("early", 1, 3*pod, 20*time.Minute), made("live", 2, 3*pod, 0)},
			want: map[string]Place{"live": {Own: 3, Fits: true}, "early": {Own: 3, Before: 3}},
		},
		"what is not due takes no place": {
			max: ptr.To[int32](4), now: window,
			all:  []v1alpha1.PromotionEvent{made("later", 1, 3*pod, 5*time.Hour), made("now", 2, 3*pod, 0)},
			want: map[string]Place{"now": {Own: 3, Fits: true}},
		},
		"a digit too many stalls itself": {
			now:  window,
			all:  []v1alpha1.PromotionEvent{made("slip", 1, 10_000_000, 0), made("now", 2, 3*pod, 0)},
			want: map[string]Place{"slip": {Own: 12_500}, "now": {Own: 3, Fits: true}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := cluster(ptr.To[int32](1000), 1, tt.max)
			needs := NeedsOf("shop", "shop", tt.all)
			got := map[string]Place{}
			for i := range tt.all {
				if _, wanted := tt.want[string(tt.all[i].UID)]; wanted {
					got[string(tt.all[i].UID)] = needs.Place(c, &tt.all[i], tt.now)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
			unlisted := made("new", 9, pod, 0)
			if place := needs.Place(c, &unlisted, tt.now); place.Own != 1 {
				t.Errorf("one that is in no list yet: %v", place)
			}
		})
	}
}

func BenchmarkPlaceOfAThousand(b *testing.B) {
	all := make([]v1alpha1.PromotionEvent, 1000)
	for i := range all {
		all[i] = promotion(1000, 0)
	}
	c, needs := cluster(nil, 1, ptr.To[int32](1000)), NeedsOf("shop", "shop", all)
	for b.Loop() {
		needs.Place(c, &all[999], noon.Add(time.Hour))
	}
}
