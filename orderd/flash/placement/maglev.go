package placement

import (
	"sort"

	"github.com/cespare/xxhash/v2"
)

// tableSize is Envoy's default: a prime far above the number of pods, so that each has an even part
// of the table.
const tableSize = 65537

// table is Envoy's Maglev table over hosts of one weight, as its load balancing policy "maglev"
// builds it: what Envoy picks for the same hosts and the same header is what the table picks. From
// Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", listing 1, with
// xxHash64 of seed 0 for the offset and of seed 1 for the skip.
type table []int32

// newTable takes the hosts' addresses, each different, at most size of them; entries are their
// indexes.
func newTable(addresses []string, size uint64) table {
	if len(addresses) == 0 {
		return nil
	}
	// Envoy fills the table in the addresses' order.
	order := make([]int32, len(addresses))
	for i := range order {
		order[i] = int32(i)
	}
	sort.Slice(order, func(a, b int) bool { return addresses[order[a]] < addresses[order[b]] })
	type permutation struct{ at, skip uint64 }
	hosts := make([]permutation, len(order))
	for i, host := range order {
		hosts[i] = permutation{xxhash.Sum64String(addresses[host]) % size, seeded(addresses[host], 1)%(size-1) + 1}
	}
	t := make(table, size)
	for i := range t {
		t[i] = -1
	}
	for filled := uint64(0); ; {
		for i := range hosts {
			h := &hosts[i]
			for t[h.at] >= 0 {
				h.at = (h.at + h.skip) % size
			}
			t[h.at] = order[i]
			if filled++; filled == size {
				return t
			}
		}
	}
}

// pick is the host of a header's value.
func (t table) pick(value string) int { return int(t[xxhash.Sum64String(value)%uint64(len(t))]) }

func seeded(text string, seed uint64) uint64 {
	d := xxhash.NewWithSeed(seed)
	// It cannot fail.
	_, _ = d.WriteString(text)
	return d.Sum64()
}
