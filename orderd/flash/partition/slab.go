package partition

// slabBits is the binary logarithm of how many entries a chunk of a slab has.
const slabBits = 10

// slab is a list without pointers to its entries: it grows by chunks, so that growing copies
// nothing but the first one.
type slab[T any] struct {
	chunks [][]T
	length uint32
}

// at is the entry with an index. The pointer is for now: adding may move the entry.
func (s *slab[T]) at(i uint32) *T { return &s.chunks[i>>slabBits][i&(1<<slabBits-1)] }

// add an entry and return its index.
func (s *slab[T]) add(entry T) uint32 {
	last := len(s.chunks) - 1
	if s.length == uint32(len(s.chunks))<<slabBits {
		var chunk []T
		if last++; last > 0 {
			chunk = make([]T, 0, 1<<slabBits)
		}
		s.chunks = append(s.chunks, chunk)
	}
	s.chunks[last] = append(s.chunks[last], entry)
	s.length++
	return s.length - 1
}

// drop the last count entries.
func (s *slab[T]) drop(count uint32) {
	for range count {
		last := len(s.chunks) - 1
		if len(s.chunks[last]) == 1 {
			s.chunks = s.chunks[:last]
		} else {
			s.chunks[last] = s.chunks[last][:len(s.chunks[last])-1]
		}
		s.length--
	}
}
