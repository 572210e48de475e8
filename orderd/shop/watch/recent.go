package watch

import (
	"sort"

	"github.com/google/uuid"
)

// change of an order, at its place in the stream.
type change struct {
	orderID  uuid.UUID
	version  int64
	sequence uint64
}

// recent are the last changes, in the stream's sequence: a ring that grows until it is full.
type recent struct {
	most    int
	changes []change
	// next is where the oldest change is, once the ring is full.
	next int
	// whole: nothing was in the stream before the oldest change.
	whole bool
}

func newRecent(most int) recent { return recent{most: most} }

// forget all changes. whole: nothing is in the stream before what follows.
func (r *recent) forget(whole bool) { *r = recent{most: r.most, whole: whole} }

func (r *recent) add(c change) {
	if len(r.changes) < r.most {
		r.changes = append(r.changes, c)
		return
	}
	r.changes[r.next], r.whole = c, false
	r.next = (r.next + 1) % r.most
}

// at is the i-th oldest change.
func (r *recent) at(i int) change { return r.changes[(r.next+i)%len(r.changes)] }

// last is the newest change; false if there is none.
func (r *recent) last() (change, bool) {
	if len(r.changes) == 0 {
		return change{}, false
	}
	return r.at(len(r.changes) - 1), true
}

// position is behind the newest change.
func (r *recent) position() Position {
	newest, ok := r.last()
	if !ok {
		return Position{}
	}
	return newest.position()
}

// behind is the number of the oldest change behind a position; false if changes behind it may not be
// known. A position that the reader has not come to is of another pod, whose reader is ahead, or of a
// stream that has lost its end: of all that is known the watcher then is told.
func (r *recent) behind(p Position) (int, bool) {
	n := len(r.changes)
	i := sort.Search(n, func(i int) bool { return r.at(i).sequence >= p.sequence })
	switch {
	case p.sequence == 0:
		return 0, r.whole
	case n == 0:
		return 0, false
	case i == n:
		return 0, true
	case r.at(i).position() != p:
		return 0, false
	}
	return i + 1, true
}
