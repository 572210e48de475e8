package pod

import (
	"testing"

	"pgregory.net/rapid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/route"
)

func TestBatchesKeepOrderWithinAPartition(t *testing.T) {
	one, other := &route.Placed{}, &route.Placed{}
	rapid.Check(t, func(t *rapid.T) {
		var b batches
		for range 2 {
			b.reset()
			type added struct {
				target  route.Target
				request *flashv1.PlaceFlashOrderRequest
			}
			var all []added
			for i := range rapid.IntRange(0, 200).Draw(t, "requests") {
				target := route.Target{
					Placed:    rapid.SampledFrom([]*route.Placed{one, other}).Draw(t, "promotion"),
					Partition: rapid.Int32Range(0, 7).Draw(t, "partition"),
				}
				all = append(all, added{target, &flashv1.PlaceFlashOrderRequest{}})
				b.add(target, all[i].request, uint64(i))
			}
			seen := map[route.Target]bool{}
			count := 0
			b.each(func(target route.Target, requests []*flashv1.PlaceFlashOrderRequest, positions []uint64) {
				if seen[target] {
					t.Errorf("partition %d came twice", target.Partition)
				}
				seen[target] = true
				for i, position := range positions {
					in := all[position]
					if in.target != target || in.request != requests[i] || i > 0 && position <= positions[i-1] {
						t.Errorf("position %d is in the wrong place", position)
					}
				}
				count += len(positions)
			})
			if count != len(all) {
				t.Errorf("%d requests came out of %d", count, len(all))
			}
		}
	})
}
