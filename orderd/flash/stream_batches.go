package flash

import flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"

// batchKey says whose requests can go together.
type batchKey struct {
	promotion *placed
	partition int32
}

// batches sort the requests of a message by partition, without a map. They are used again for the next message.
type batches struct {
	keys   []batchKey
	counts []int
	// of has each request's index in keys.
	of        []int32
	requests  []*flashv1.PlaceFlashOrderRequest
	positions []uint64
	last      int32
}

func (b *batches) reset() {
	clear(b.requests)
	b.keys, b.counts, b.of, b.requests, b.positions, b.last = b.keys[:0], b.counts[:0], b.of[:0], b.requests[:0], b.positions[:0], 0
}

func (b *batches) add(key batchKey, request *flashv1.PlaceFlashOrderRequest, position uint64) {
	at := b.find(key)
	b.counts[at]++
	b.of = append(b.of, at)
	b.requests, b.positions = append(b.requests, request), append(b.positions, position)
}

func (b *batches) find(key batchKey) int32 {
	if len(b.keys) > 0 && b.keys[b.last] == key {
		return b.last
	}
	for i, known := range b.keys {
		if known == key {
			b.last = int32(i)
			return b.last
		}
	}
	b.keys, b.counts = append(b.keys, key), append(b.counts, 0)
	b.last = int32(len(b.keys) - 1)
	return b.last
}

// each calls do with every batch, whose slices are do's to keep.
func (b *batches) each(do func(key batchKey, requests []*flashv1.PlaceFlashOrderRequest, positions []uint64)) {
	requests, positions := make([]*flashv1.PlaceFlashOrderRequest, len(b.of)), make([]uint64, len(b.of))
	starts := make([]int, len(b.keys))
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
	for i, key := range b.keys {
		end := start + b.counts[i]
		do(key, requests[start:end:end], positions[start:end:end])
		start = end
	}
}
