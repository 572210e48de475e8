package capacity

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

var noon = time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)

func cluster(capacity *int32, least int32, most *int32) *v1alpha1.OrderCluster {
	c := &v1alpha1.OrderCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"}}
	c.Spec.Pools.Flash = v1alpha1.PoolSpec{CapacityRPS: capacity, Replicas: v1alpha1.PoolReplicas{Min: &least, Max: most}}
	return c
}

// promotion starts an hour after noon plus the offset, lasts an hour, and has a
// prewarm of ten minutes.
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

func TestStreamsAndPartitions(t *testing.T) {
	tests := map[string]struct {
		partitions, streams *int32
		peak                int32
		items               int
		wantStreams, want   int32
	}{
		"as the spec says":            {partitions: ptr.To[int32](8), peak: 1, items: 2, wantStreams: 1, want: 8},
		"two a pod":                   {peak: 2000, items: 2, wantStreams: 1, want: 6},
		"a stream for each 50,000":    {peak: 50_001, items: 1000, wantStreams: 2, want: 126},
		"never more than most":        {peak: 10_000_000, items: 1000, wantStreams: 8, want: 512},
		"not more streams than items": {peak: 10_000_000, items: 3, wantStreams: 3, want: 192},
		"one stream of partitions as given": {
			partitions:  ptr.To[int32](64),
			peak:        1_000_000,
			items:       1000,
			wantStreams: 1,
			want:        64,
		},
		"streams as the spec says": {streams: ptr.To[int32](4), peak: 2000, items: 1000, wantStreams: 4, want: 8},
		"both as the spec says": {
			streams:     ptr.To[int32](4),
			partitions:  ptr.To[int32](16),
			peak:        1,
			items:       4,
			wantStreams: 4,
			want:        16,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := promotion(tt.peak, 0)
			p.Spec.Partitions, p.Spec.Streams = tt.partitions, tt.streams
			p.Spec.Items = make([]v1alpha1.PromotionItem, tt.items)
			streams := Streams(&p)
			if streams != tt.wantStreams {
				t.Errorf("Streams() = %d, want %d", streams, tt.wantStreams)
			}
			if got := Partitions(cluster(ptr.To[int32](1000), 1, nil), &p, streams); got != tt.want {
				t.Errorf("Partitions() = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestSpreadIsEvenAndKeepsToTheItems(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		streams := rapid.Int32Range(1, 8).Draw(t, "streams")
		items := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) v1alpha1.PromotionItem {
			return v1alpha1.PromotionItem{
				SKU:   rapid.StringMatching(`[a-z]{1,6}`).Draw(t, "sku"),
				Stock: rapid.Int64Range(1, 1000).Draw(t, "stock"),
			}
		}), int(streams), 60, func(i v1alpha1.PromotionItem) string { return i.SKU }).Draw(t, "items")
		got := Spread(items, streams)
		stock, most := make([]int64, streams), int64(0)
		of := map[string]int32{}
		for i, item := range items {
			stock[got[i]] += item.Stock
			most = max(most, item.Stock)
			of[item.SKU] = got[i]
		}
		if slices.Min(stock) == 0 || slices.Max(stock)-slices.Min(stock) > most {
			t.Fatalf("streams have %v, the largest item %d", stock, most)
		}
		shuffled := rapid.Permutation(items).Draw(t, "order")
		for i, k := range Spread(shuffled, streams) {
			if of[shuffled[i].SKU] != k {
				t.Fatalf("%s is in stream %d, and in %d if the items come in another order", shuffled[i].SKU, of[shuffled[i].SKU],
					k)
			}
		}
	})
}
