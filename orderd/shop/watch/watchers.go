package watch

import (
	"maps"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// Order is a watcher of one order.
type Order struct {
	hub     *Hub
	orderID uuid.UUID
	told    chan struct{}
	close   func()

	mu      sync.Mutex
	version int64
	missed  bool
}

// Order begins to watch an order, which need not be there; or [ErrFull].
func (h *Hub) Order(orderID uuid.UUID) (*Order, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.admit(); err != nil {
		return nil, err
	}
	w := &Order{hub: h, orderID: orderID, told: make(chan struct{}, 1)}
	insert(h.orders, orderID, w)
	h.metrics.watchers.WithLabelValues(ofOrder).Inc()
	w.close = sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		remove(h.orders, orderID, w)
		h.watchers--
		h.metrics.watchers.WithLabelValues(ofOrder).Dec()
	})
	return w, nil
}

// Told has an entry once the order has changed since the last Take.
func (w *Order) Told() <-chan struct{} { return w.told }

// Take tells whether the order may have a newer version than one that the caller has.
func (w *Order) Take(has int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	newer := w.missed || w.version > has
	w.version, w.missed = 0, false
	return newer
}

// Close ends it.
func (w *Order) Close() { w.close() }

func (w *Order) changed(version int64, missed bool) {
	w.mu.Lock()
	w.version, w.missed = max(w.version, version), w.missed || missed
	w.mu.Unlock()
	tell(w.told)
}

// Buyer is a watcher of all orders of a buyer.
type Buyer struct {
	hub   *Hub
	told  chan struct{}
	close func()

	mu sync.Mutex
	// changed are the orders that were not asked for yet, the one that changed first in front.
	changed []uuid.UUID
	at      Position
	behind  bool
}

// Buyer begins to watch the orders of the buyer who has an id among them: from now on, or if from is
// not nil from there on. [ErrFull], [ErrNotReading], or [ErrTooOld].
func (h *Hub) Buyer(orderID uuid.UUID, from *Position) (*Buyer, Position, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.reading {
		return nil, Position{}, ErrNotReading
	}
	w := &Buyer{hub: h, told: make(chan struct{}, 1), at: h.recent.position()}
	of, begins := buyerOf(orderID), w.at
	if from != nil {
		first, known := h.recent.behind(*from)
		if !known || len(h.recent.changes)-first > maxResumed {
			return nil, Position{}, ErrTooOld
		}
		for i := first; i < len(h.recent.changes); i++ {
			if c := h.recent.at(i); buyerOf(c.orderID) == of {
				w.add(c)
			}
		}
		if w.behind {
			return nil, Position{}, ErrTooOld
		}
		begins = *from
	}
	if err := h.admit(); err != nil {
		return nil, Position{}, err
	}
	insert(h.buyers, of, w)
	h.metrics.watchers.WithLabelValues(ofBuyer).Inc()
	w.close = sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		remove(h.buyers, of, w)
		h.watchers--
		h.metrics.watchers.WithLabelValues(ofBuyer).Dec()
	})
	return w, begins, nil
}

// Told has an entry once an order of the buyer's has changed since the last Take, or was missed.
func (w *Buyer) Told() <-chan struct{} { return w.told }

// Take returns the orders that have changed since the last time, and the position behind all of
// their changes; or [ErrBehind], from then on. Orders of another buyer may be among them.
func (w *Buyer) Take() ([]uuid.UUID, Position, error) {
	// What the reader does is seen whole or not at all.
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.behind {
		return nil, Position{}, ErrBehind
	}
	changed := w.changed
	w.changed, w.at = nil, w.hub.recent.position()
	return changed, w.at, nil
}

// Close ends it.
func (w *Buyer) Close() { w.close() }

// add a change.
func (w *Buyer) add(c change) {
	w.mu.Lock()
	switch {
	case w.behind || slices.Contains(w.changed, c.orderID):
	case len(w.changed) == maxPending:
		w.behind, w.changed = true, nil
	default:
		w.changed = append(w.changed, c.orderID)
	}
	w.mu.Unlock()
	tell(w.told)
}

// miss says that it may have missed changes.
func (w *Buyer) miss() {
	w.mu.Lock()
	w.behind, w.changed = true, nil
	w.mu.Unlock()
	tell(w.told)
}

// admit one more watcher; the caller holds the lock.
func (h *Hub) admit() error {
	if h.watchers >= maxWatchers {
		return ErrFull
	}
	h.watchers++
	return nil
}

// changed tells those who wait for a change.
func (h *Hub) changed(c change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent.add(c)
	for w := range h.orders[c.orderID] {
		w.changed(c.version, false)
	}
	for w := range h.buyers[buyerOf(c.orderID)] {
		w.add(c)
	}
}

// missed tells all that changes were missed. whole: nothing is in the stream before what follows.
func (h *Hub) missed(whole bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent.forget(whole)
	for _, all := range h.orders {
		for w := range all {
			w.changed(0, true)
		}
	}
	for all := range maps.Values(h.buyers) {
		for w := range all {
			w.miss()
		}
	}
}

func tell(told chan<- struct{}) {
	select {
	case told <- struct{}{}:
	default:
	}
}

func insert[K, W comparable](all map[K]map[W]struct{}, key K, w W) {
	if all[key] == nil {
		all[key] = map[W]struct{}{}
	}
	all[key][w] = struct{}{}
}

func remove[K, W comparable](all map[K]map[W]struct{}, key K, w W) {
	delete(all[key], w)
	if len(all[key]) == 0 {
		delete(all, key)
	}
}
