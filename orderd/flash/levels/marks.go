package levels

import (
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

// Mark says that no more than left units of an item could be had a moment ago, and false
// if that is not known.
func (t *Table) Mark(uid, sku string, now time.Time) (left int64, ok bool) {
	p := (*t.marks.Load())[uid]
	if p == nil {
		return 0, false
	}
	i, ok := p.promotion.Index(sku)
	if !ok {
		return 0, false
	}
	if m := p.marks[i].Load(); m != nil && lasts(m.until, now) {
		return m.left, true
	}
	return 0, false
}

// lasts says whether a mark holds. One that would for longer than marks do was made before the
// cluster's clock went back, and nobody knows how old it is.
func lasts(until, now time.Time) bool { return now.Before(until) && until.Sub(now) <= 2*Fresh }

// Marks is how many items are marked as sold out.
func (t *Table) Marks(now time.Time) int {
	marks := 0
	for _, p := range *t.marks.Load() {
		for i := range p.marks {
			if m := p.marks[i].Load(); m != nil && lasts(m.until, now) {
				marks++
			}
		}
	}
	return marks
}

// proved takes an owner's proof that an item was sold out. One that is older than stock which was
// heard of since, and is gone again, is no proof any more: all shards may say that they are empty while
// that stock moves from one to another.
func (p *promotionLevels) proved(n int32, proof *flashv1.SoldOutItem, sent time.Time) {
	i, ok := p.promotion.Index(proof.GetSku())
	if !ok || p.offset[i] < 0 || proof.GetLeft() < 0 || proof.GetAgeMs() < 0 || proof.GetAgeMs() >= Fresh.Milliseconds() {
		return
	}
	if first, end := p.partitions(i); n < first || n >= end {
		return
	}
	at := sent.Add(-time.Duration(proof.GetAgeMs()) * time.Millisecond)
	if proof.GetLeft() == 0 && !at.After(p.stocked[i]) && p.stocked[i].Sub(sent) < Fresh {
		return
	}
	if at.After(p.items[i].at) {
		p.items[i] = item{left: proof.GetLeft(), at: at}
		p.marked[i] = struct{}{}
	}
}

// lapse forgets the proofs whose mark ran out: what is broadcast afterwards cannot bring it back.
func (p *promotionLevels) lapse(now time.Time) {
	for i := range p.marked {
		if m := p.marks[i].Load(); m == nil || !lasts(m.until, now) {
			p.unmark(i)
		}
	}
}

func (p *promotionLevels) unmark(i int) {
	p.items[i] = item{}
	p.marks[i].Store(nil)
	delete(p.marked, i)
}

// mark decides on all items that were proved to be sold out.
func (p *promotionLevels) mark(now time.Time) {
	for i := range p.marked {
		until, ok := p.provedUntil(i)
		if !ok || !lasts(until, now) {
			p.unmark(i)
			continue
		}
		left := p.items[i].left
		if m := p.marks[i].Load(); m == nil || m.left != left || !m.until.Equal(until) {
			p.marks[i].Store(&mark{left: left, until: until})
		}
	}
}

// provedUntil says until when a proof counts, if nothing more is heard; false if
// stock was heard of since.
func (p *promotionLevels) provedUntil(i int) (until time.Time, ok bool) {
	proof := p.items[i]
	var since int64
	oldest := time.Time{}
	empty := proof.left == 0
	first, end := p.partitions(i)
	for n := first; n < end; n++ {
		level, stamp := p.level(n, i), p.shards[n].stamp
		if level > 0 && stamp.After(proof.at) {
			since += level
		}
		if n == first || stamp.Before(oldest) {
			oldest = stamp
		}
		empty = empty && level == 0
	}
	if since > proof.left {
		return time.Time{}, false
	}
	until = proof.at.Add(Fresh)
	if more := oldest.Add(Fresh); empty && more.After(until) {
		until = more
	}
	return until, true
}
