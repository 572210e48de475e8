package partition

// ForBuyer is the buyer's partition among count (at least 1): FNV-1a of the buyer's id in 64 bits,
// finished by MurmurHash3's mixer so that its low bits are even, modulo count. It must never
// change: a running sale's limits and request ids lie where it says.
func ForBuyer(buyer string, count int32) int32 {
	return int32(Hash(buyer) % uint64(count))
}

// Hash of parts, each ended by a zero byte; the same in every process and version.
func Hash(parts ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, part := range parts {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * 1099511628211
		}
		h *= 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
