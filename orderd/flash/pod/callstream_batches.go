package pod

import (
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/route"
)

// batches sort the requests of a message by partition, without a map. They are used again
// for the next message.
type batches struct {
	targets []route.Target
	counts  []int
	// of has each request's index in targets.
	of        []int32
	requests  []*flashv1.PlaceFlashOrderRequest
	positions []uint64
	last      int32
}

func (b *batches) reset() {
	clear(b.requests)
	b.targets, b.counts, b.of = b.targets[:0], b.counts[:0], b.of[:0]
	b.requests, b.positions, b.last = b.requests[:0], b.positions[:0], 0
}

func (b *batches) add(target route.Target, request *flashv1.PlaceFlashOrderRequest, position uint64) {
	at := b.find(target)
	b.counts[at]++
	b.of = append(b.of, at)
	b.requests, b.positions = append(b.requests, request), append(b.positions, position)
}

func (b *batches) find(target route.Target) int32 {
	if len(b.targets) > 0 && b.targets[b.last] == target {
		return b.last
	}
	for i, known := range b.targets {
		if known == target {
			b.last = int32(i)
			return b.last
		}
	}
	b.targets, b.counts = append(b.targets, target), append(b.counts, 0)
	b.last = int32(len(b.targets) - 1)
	return b.last
}

// each calls do with every batch, whose slices are do's to keep.
func (b *batches) each(do func(target route.Target, requests []*flashv1.PlaceFlashOrderRequest, positions []uint64)) {
	requests, positions := make([]*flashv1.PlaceFlashOrderRequest, len(b.of)), make([]uint64, len(b.of))
	starts := make([]int, len(b.targets))
	start := 0
	for i, count := range b.counts {
		starts[i] = start
		start += count
	}
	for i, at := range b.of {
		requests[starts[at]], positions[starts[at]] = b.requests[i], b.positions[i]
		starts[at]++
	}
	start = 0
	for i, target := range b.targets {
		end := start + b.counts[i]
		do(target, requests[start:end:end], positions[start:end:end])
		start = end
	}
}
