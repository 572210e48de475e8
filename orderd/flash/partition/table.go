package partition

// table finds entries of a slab by 32 bits of a hash of their keys. Which of the entries with the
// same bits is the one meant, its user finds out by comparing the keys themselves. Open addressing
// with linear probing, at most 3/4 full.
type table struct {
	slots []slot
	used  int
}

// slot has an index plus 1; 0: it is free.
type slot struct{ hash, entry uint32 }

// minSlots is the size of the smallest table; a power of two.
const minSlots = 16

// next is the next entry with the hash's bits from a position on, which begins as int(hash); false
// if there is no more.
func (t *table) next(hash uint32, at *int) (entry uint32, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := len(t.slots) - 1
	for i := *at & mask; t.slots[i].entry != 0; i = (i + 1) & mask {
		if t.slots[i].hash == hash {
			*at = i + 1
			return t.slots[i].entry - 1, true
		}
	}
	return 0, false
}

func (t *table) add(hash, entry uint32) {
	if (t.used+1)*4 > len(t.slots)*3 {
		t.grow()
	}
	t.place(slot{hash, entry + 1})
	t.used++
}

func (t *table) place(s slot) {
	mask := len(t.slots) - 1
	i := int(s.hash) & mask
	for t.slots[i].entry != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = s
}

func (t *table) grow() {
	old := t.slots
	t.slots = make([]slot, max(minSlots, 2*len(old)))
	for _, s := range old {
		if s.entry != 0 {
			t.place(s)
		}
	}
}

// remove an entry that is in the table under the hash, and close the gap that it leaves.
func (t *table) remove(hash, entry uint32) {
	mask := len(t.slots) - 1
	gap := int(hash) & mask
	for t.slots[gap].entry != entry+1 {
		gap = (gap + 1) & mask
	}
	for i := (gap + 1) & mask; t.slots[i].entry != 0; i = (i + 1) & mask {
		// What may lie in the gap is what is not nearer to its own place than the gap.
		if home := int(t.slots[i].hash) & mask; (i-home)&mask >= (i-gap)&mask {
			t.slots[gap] = t.slots[i]
			gap = i
		}
	}
	t.slots[gap] = slot{}
	t.used--
}
