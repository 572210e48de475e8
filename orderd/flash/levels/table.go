// Package levels is what a pod knows of the stock shards that all pods own, from broadcasts that
// may be lost, repeated or late: which shard likely has most of an item, and which items are sold
// out. Nothing here does input or output; times are the cluster's and passed in.
//
// An item's mark says that it is sold out. An owner has proved it; then the mark holds until the
// proof is a second old, and for as long after as every shard says that it is empty, none of them
// longer than a second ago. Stock that is heard of ends it, and the proofs of before with it. So
// stock that comes into a shard and stays there ends the mark within that second at the latest,
// whatever is lost, repeated or late, and with the shard's next broadcast if nothing is.
package levels

import (
	"sync"
	"sync/atomic"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

// Fresh is how long a proof and a level count for marks.
const Fresh = time.Second

// Unknown is the level of a shard that nothing was heard of.
const Unknown = -1

// Table of all promotions' levels and marks. Its memory is bounded by the promotions it was told
// of: 8 bytes a shard and 100 an item. Safe for concurrent use; Mark takes no lock.
type Table struct {
	marks atomic.Pointer[map[string]*promotionLevels]

	// mu guards promotions, and all of each but its marks.
	mu sync.Mutex
	// promotions is what marks points to.
	promotions map[string]*promotionLevels
}

// promotionLevels has the levels of one promotion's shards. All but marks belongs to the table's
// lock.
type promotionLevels struct {
	promotion *promotion.Promotion
	// offset of each item among those of its stream, and count of each stream's items.
	offset []int
	count  []int
	shards []shards
	items  []item
	marks  []atomic.Pointer[mark]
	// stocked is when each item was last said to be in some shard that has none of it now. A proof of
	// before says nothing of where that stock went: it may be on its way to a shard that has not said
	// so yet.
	stocked []time.Time
	// marked items may have a mark, or had one lately.
	marked map[int]struct{}
}

// shards are one partition's, as last heard of.
type shards struct {
	sequence uint64
	// stamp is a moment at which the levels were no older.
	stamp time.Time
	// available by the items' offset; nil before anything was heard.
	available []int64
}

// item is the last proof that it was sold out; the zero proof if none holds or held lately.
type item struct {
	left int64
	at   time.Time
}

type mark struct {
	left  int64
	until time.Time
}

// NewTable knows no promotions.
func NewTable() *Table {
	t := &Table{promotions: map[string]*promotionLevels{}}
	t.marks.Store(&t.promotions)
	return t
}

// SetPromotions says which promotions there are, by uid. What is known of those that stay is kept.
// The map is the table's from now on.
func (t *Table) SetPromotions(promotions map[string]*promotion.Promotion) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := make(map[string]*promotionLevels, len(promotions))
	for uid, promo := range promotions {
		switch known := t.promotions[uid]; {
		case promo.GetClosed():
		case known != nil && known.promotion == promo:
			next[uid] = known
		default:
			next[uid] = newLevels(promo, known)
		}
	}
	t.promotions = next
	t.marks.Store(&next)
}

// newLevels keeps what is known of it, if its items and partitions are the same.
func newLevels(promo *promotion.Promotion, known *promotionLevels) *promotionLevels {
	items := promo.GetItems()
	p := &promotionLevels{
		promotion: promo, offset: make([]int, len(items)), count: make([]int, max(1, len(promo.GetStreams()))),
		shards: make([]shards, promo.GetPartitions()), items: make([]item, len(items)),
		stocked: make([]time.Time, len(items)), marks: make([]atomic.Pointer[mark], len(items)), marked: map[int]struct{}{},
	}
	for i, it := range items {
		if k := int(it.GetStream()); k >= 0 && k < len(p.count) {
			p.offset[i] = p.count[k]
			p.count[k]++
		} else {
			p.offset[i] = -1
		}
	}
	if known == nil || !known.sameShards(p) {
		return p
	}
	p.shards, p.items, p.stocked, p.marked = known.shards, known.items, known.stocked, known.marked
	for i := range p.marks {
		p.marks[i].Store(known.marks[i].Load())
	}
	return p
}

func (p *promotionLevels) sameShards(other *promotionLevels) bool {
	a, b := p.promotion, other.promotion
	if a.GetPartitions() != b.GetPartitions() || len(p.count) != len(other.count) ||
		len(a.GetItems()) != len(b.GetItems()) {
		return false
	}
	for i, it := range a.GetItems() {
		if it.GetSku() != b.GetItems()[i].GetSku() || it.GetStream() != b.GetItems()[i].GetStream() {
			return false
		}
	}
	return true
}

// partitions of an item's stream, from first to before end.
func (p *promotionLevels) partitions(i int) (first, end int32) {
	per := p.promotion.PerStream()
	first = p.promotion.GetItems()[i].GetStream() * per
	return first, first + per
}

// level is what was last heard of an item's shard in one of its stream's partitions.
func (p *promotionLevels) level(n int32, i int) int64 {
	if available := p.shards[n].available; available != nil {
		return available[p.offset[i]]
	}
	return Unknown
}

// Level is what was last heard of a shard, in units, however long ago; Unknown if nothing was.
func (t *Table) Level(uid string, n int32, sku string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.promotions[uid]
	if p == nil {
		return Unknown
	}
	i, ok := p.promotion.Index(sku)
	if !ok || p.offset[i] < 0 {
		return Unknown
	}
	if first, end := p.partitions(i); n < first || n >= end {
		return Unknown
	}
	return p.level(n, i)
}

// Observe takes a broadcast of the promotion that came now. False: it says nothing that can be
// used, because it is too old, from the future, of a promotion that is not known, or garbled. Parts
// that are garbled are left out.
func (t *Table) Observe(uid string, message *flashv1.Levels, now time.Time) bool {
	sent := time.UnixMilli(message.GetSentUnixMs())
	if age := now.Sub(sent); age >= Fresh || age <= -Fresh {
		return false
	}
	if sent.After(now) {
		// The sender's clock is better than this pod's.
		sent = now
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.promotions[uid]
	if p == nil {
		return false
	}
	p.lapse(now)
	used := false
	for _, part := range message.GetPartitions() {
		if n := part.GetPartition(); n >= 0 && int(n) < len(p.shards) {
			used = p.observe(part, sent, now) || used
		}
	}
	p.mark(now)
	return used
}

// observe takes one partition's part of a broadcast.
func (p *promotionLevels) observe(part *flashv1.PartitionLevels, sent, now time.Time) bool {
	n := part.GetPartition()
	known := &p.shards[n]
	switch sequence := part.GetSequence(); {
	case sequence < known.sequence && now.Sub(known.stamp) < Fresh:
		// Late, or from a pod that the partition was taken from. A log that lost records is
		// believed once the old levels are not fresh any more.
		return false
	case part.GetUnchanged():
		if known.available == nil || sequence != known.sequence {
			return false
		}
	case part.GetBase() != 0:
		// After a loss, until all levels come again, nothing that is left out is known.
		if known.available == nil || part.GetBase() != known.sequence || !p.levels(part, known.available) {
			return false
		}
		known.sequence = sequence
	default:
		available := make([]int64, p.count[p.promotion.StreamOf(n)])
		if !p.levels(part, available) {
			return false
		}
		p.ranOut(n, available)
		known.available, known.sequence = available, sequence
	}
	// A stamp from the future was made before the cluster's clock went back.
	if sent.After(known.stamp) || known.stamp.Sub(now) >= Fresh {
		known.stamp = sent
	}
	for _, s := range part.GetSoldOut() {
		p.proved(n, s, sent)
	}
	return true
}

// levels of a broadcast into available, by offset; false and nothing if they are garbled.
func (p *promotionLevels) levels(part *flashv1.PartitionLevels, available []int64) bool {
	stream := p.promotion.StreamOf(part.GetPartition())
	for _, level := range part.GetItems() {
		i, ok := p.promotion.Index(level.GetSku())
		if !ok || p.promotion.GetItems()[i].GetStream() != stream || level.GetAvailable() < 0 {
			return false
		}
	}
	for _, level := range part.GetItems() {
		i, _ := p.promotion.Index(level.GetSku())
		if available[p.offset[i]] > 0 && level.GetAvailable() == 0 {
			p.hadStock(i, p.shards[part.GetPartition()].stamp)
		}
		available[p.offset[i]] = level.GetAvailable()
	}
	return true
}

// ranOut notes which items of a partition's shards are gone by levels that come for those known.
func (p *promotionLevels) ranOut(n int32, next []int64) {
	known := p.shards[n]
	if known.available == nil {
		return
	}
	stream := p.promotion.StreamOf(n)
	for i, item := range p.promotion.GetItems() {
		if k := p.offset[i]; k >= 0 && item.GetStream() == stream && known.available[k] > 0 && next[k] == 0 {
			p.hadStock(i, known.stamp)
		}
	}
}

// hadStock notes that an item was said to be in a shard at a moment.
func (p *promotionLevels) hadStock(i int, at time.Time) {
	if at.After(p.stocked[i]) {
		p.stocked[i] = at
	}
}
