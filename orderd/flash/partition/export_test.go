package partition

// Bought is how many units of a SKU the buyer has, net of releases.
func (s *State) Bought(buyerID, sku string) int64 {
	if shard, ok := s.index[sku]; ok {
		if b, ok := s.orders.findBuyer(s.orders.hash(buyerID, ""), buyerID); ok {
			return s.bought(b, shard)
		}
	}
	return 0
}
