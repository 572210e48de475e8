package partition

// HasTopUp says whether the partition has its share of a top-up, by the top-up's id.
func (s *State) HasTopUp(id string) bool {
	_, has := s.topUps[id]
	return has
}

// Share is how many of an item's units partition n (from 0) of count (at least 1) gets: the
// quantity divided by count, rounded down or up, so that the sum over the partitions is exact.
// Which of them get one more depends on the SKU, so that the first ones do not get it of every
// item. It must never change: what is in a log was shared by it.
func Share(quantity int64, sku string, n, count int32) int64 {
	share, extra := quantity/int64(count), quantity%int64(count)
	first := int64(Hash(sku) % uint64(count))
	if (int64(n)-first+int64(count))%int64(count) < extra {
		share++
	}
	return share
}
