package stock

import (
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// maxRemembered is how many spread SKUs a Shelves remembers.
const maxRemembered = 10_000

// Shelves reserves stock for many orders in one transaction. It remembers which SKUs are spread
// over buckets, so that a transaction locks no more buckets than it needs; what it remembers may be
// old: it decides from locked rows only. Safe for concurrent use.
type Shelves struct {
	mu sync.Mutex
	// spread has the available units of each bucket of the SKUs that have several, as
	// they were seen last.
	spread map[string][]int64
}

// NewShelves remembers nothing.
func NewShelves() *Shelves { return &Shelves{spread: map[string][]int64{}} }

// Wanted is what the orders of a transaction want of a SKU altogether.
type Wanted map[string]int64

// Hold is the stock that one transaction has locked, and what it reserves of it.
type Hold struct {
	shelves *Shelves
	rows    held
	// partly are SKUs of which not all buckets are locked.
	partly map[string]bool
	from   int
	moves  []Movement
	short  bool
}

// Lock queues the lock of what is wanted. seed spreads transactions over the buckets; all locks
// every bucket. The Hold can be used once the batch has been sent.
func (s *Shelves) Lock(b *pgx.Batch, wanted Wanted, seed string, all bool) *Hold {
	h := &Hold{shelves: s, partly: map[string]bool{}, from: start(seed, MaxBuckets)}
	var skip []string
	var buckets []int64
	if !all {
		skip, buckets = s.spared(wanted, h)
	}
	queueLock(b, slices.Sorted(maps.Keys(wanted)), skip, buckets, &h.rows)
	return h
}

// spared are the buckets that a transaction can leave to others.
func (s *Shelves) spared(wanted Wanted, h *Hold) (skus []string, buckets []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sku, units := range wanted {
		seen := s.spread[sku]
		if total(seen) < units {
			continue
		}
		for i := range seen {
			b := (h.from + i) % len(seen)
			if units > 0 && seen[b] > 0 {
				units -= seen[b]
				continue
			}
			h.partly[sku] = true
			skus, buckets = append(skus, sku), append(buckets, int64(b))
		}
	}
	return skus, buckets
}

func total(units []int64) int64 {
	var out int64
	for _, u := range units {
		out += u
	}
	return out
}

// Shortage is a SKU of which less is left than an order wants.
type Shortage struct {
	SKU          string
	Wanted, Left int64
}

// Reserve takes all of an order's lines, or nothing and says what is short of which. A SKU that is
// not there has none left.
func (h *Hold) Reserve(orderID string, lines []Quantity) []Shortage {
	var out []Shortage
	for _, l := range lines {
		left := sum(h.rows[l.SKU]).Available
		if left >= l.Quantity {
			continue
		}
		h.short = h.short || h.partly[l.SKU]
		out = append(out, Shortage{SKU: l.SKU, Wanted: l.Quantity, Left: left})
	}
	if len(out) > 0 {
		return out
	}
	for _, l := range lines {
		h.reserve(Reserve(orderID, l))
	}
	return nil
}

func (h *Hold) reserve(m Movement) {
	rows := h.rows[m.sku]
	target := enough(rows, h.from%len(rows), -m.available)
	moved := gather(rows, target, m)
	m.bucket = target.Bucket
	target.Levels.Available += m.available
	target.Levels.Reserved += m.reserved
	h.moves = append(append(h.moves, moved...), m)
}

// Partial tells whether something was short that buckets that are not locked may have: the
// transaction has to be run again with all.
func (h *Hold) Partial() bool { return h.short }

// Remember is called after the commit: what was seen helps the next transaction to lock less.
func (h *Hold) Remember() {
	h.shelves.mu.Lock()
	defer h.shelves.mu.Unlock()
	for sku, rows := range h.rows {
		known := h.shelves.spread[sku]
		highest := rows[len(rows)-1].Bucket
		if highest == 0 && len(known) <= 1 {
			continue
		}
		if int64(len(known)) <= highest {
			if len(known) == 0 && len(h.shelves.spread) >= maxRemembered {
				continue
			}
			known = append(known, make([]int64, highest+1-int64(len(known)))...)
		}
		for _, r := range rows {
			known[r.Bucket] = r.Levels.Available
		}
		h.shelves.spread[sku] = known
	}
}
