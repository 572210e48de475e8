package partition

// HasTopUp says whether the partition has its share of a top-up, by the top-up's id.
func (s *State) HasTopUp(id string) bool {
	_, has := s.topUps[id]
	return has
}
