package flash

import (
	"sync"
	"time"

	"github.com/orderd-dev/orderd/orderd/flash/clock"
)

// heartbeatsKept is how many renewals wait for the watch to tell when the server stored them, and the other way round.
const heartbeatsKept = 4

// heartbeats match the renewals of the pod's entry, by revision, with what the watch says of them, and set the cluster's clock by
// each. All times but stored are readings of the pod's monotonic clock. Safe for concurrent use.
type heartbeats struct {
	clock *clock.Clock

	mu      sync.Mutex
	renewed []renewal
	seen    []sighting
}

type renewal struct {
	revision   uint64
	sent, done time.Duration
}

type sighting struct {
	revision uint64
	at       time.Duration
	stored   time.Time
}

// wrote takes a renewal that was acknowledged.
func (h *heartbeats) wrote(r renewal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.seen {
		if s.revision == r.revision && h.observe(r, s) {
			return
		}
	}
	h.renewed = append(h.renewed[max(0, len(h.renewed)-heartbeatsKept+1):], r)
}

// saw takes an entry of the pod that the watch brought.
func (h *heartbeats) saw(s sighting) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.renewed {
		if r.revision == s.revision && h.observe(r, s) {
			return
		}
	}
	h.seen = append(h.seen[max(0, len(h.seen)-heartbeatsKept+1):], s)
}

// observe is false if they are not of the same write: a bucket that was made anew counts its revisions anew.
func (h *heartbeats) observe(r renewal, s sighting) bool {
	if s.at < r.sent {
		return false
	}
	h.clock.Observe(r.sent, min(r.done, s.at), s.stored)
	return true
}
