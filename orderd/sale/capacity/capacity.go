// Package capacity computes how many flash pods the promotions of an OrderCluster need. It is pure,
// so that both controllers come to the same answer from the same objects.
package capacity

import (
	"cmp"
	"slices"
	"time"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

const (
	// headroomPercent of the expected peak is what pods are provided for: room for a pod that dies
	// and for a peak that was guessed too low.
	headroomPercent = 125
	// defaultCapacityRPS of a pod, until it was measured.
	defaultCapacityRPS = 1000
	// scaleLead is how long before the prewarm deadline the pool is scaled, so that pods
	// have started by then.
	scaleLead = 2 * time.Minute
	// scaleLag is how long after the end the pool keeps its size: those who come too
	// late are still answered.
	scaleLag = 30 * time.Second
	// partitionsPerPod, and maxPartitions of a stream: see the field partitions of
	// PromotionEventSpec.
	partitionsPerPod = 2
	maxPartitions    = 64
	// streamRPS is the peak that one stream is trusted with, about half of what one log was
	// measured to take with 64 orders a record. Items times partitions ask for no more streams: one
	// stream opens 1,000 items in 64 partitions in seconds.
	streamRPS = 50_000
)

// MaxStreams is how many streams a promotion has at most.
const MaxStreams = 8

// Replicas is how many flash pods one promotion needs: ceil(peak x headroom / capacity of a pod).
func Replicas(c *v1alpha1.OrderCluster, p *v1alpha1.PromotionEvent) int32 {
	return replicas(c, p.Spec.Traffic.ExpectedPeakRPS)
}

func replicas(c *v1alpha1.OrderCluster, peak int32) int32 {
	capacity := int64(defaultCapacityRPS)
	if n := c.Spec.Pools.Flash.CapacityRPS; n != nil {
		capacity = int64(*n)
	}
	need := int64(peak) * headroomPercent
	return int32((need + 100*capacity - 1) / (100 * capacity))
}

// Streams is how many streams a promotion gets: what its spec says, else one for each streamRPS of
// its expected peak, but not more than it has items, and one if the spec says how many partitions.
func Streams(p *v1alpha1.PromotionEvent) int32 {
	switch {
	case p.Spec.Streams != nil:
		return *p.Spec.Streams
	case p.Spec.Partitions != nil:
		return 1
	}
	need := (p.Spec.Traffic.ExpectedPeakRPS + streamRPS - 1) / streamRPS
	return min(max(1, need), MaxStreams, int32(len(p.Spec.Items)))
}

// Partitions is how many partitions a promotion gets over so many streams, as many in each: what
// its spec says, else two for each pod it needs.
func Partitions(c *v1alpha1.OrderCluster, p *v1alpha1.PromotionEvent, streams int32) int32 {
	if n := p.Spec.Partitions; n != nil {
		return *n
	}
	per := (partitionsPerPod*Replicas(c, p) + streams - 1) / streams
	return streams * min(maxPartitions, per)
}

// Spread is the index of the stream of each item, in the items' order: so that the streams
// have about the same stock, and each at least one item. It depends on SKUs, stock and the
// number of streams alone.
func Spread(items []v1alpha1.PromotionItem, streams int32) []int32 {
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(items[b].Stock, items[a].Stock), cmp.Compare(items[a].SKU, items[b].SKU))
	})
	stock, count := make([]int64, streams), make([]int, streams)
	out := make([]int32, len(items))
	for _, i := range order {
		least := 0
		for k := range stock {
			if cmp.Or(cmp.Compare(stock[k], stock[least]), cmp.Compare(count[k], count[least])) < 0 {
				least = k
			}
		}
		out[i] = int32(least)
		stock[least] += items[i].Stock
		count[least]++
	}
	return out
}

// Window is when the flash pool has to have the promotion's replicas.
func Window(p *v1alpha1.PromotionEvent) (from, to time.Time) {
	return p.ReadyDeadline().Add(-scaleLead), p.End().Add(scaleLag)
}
