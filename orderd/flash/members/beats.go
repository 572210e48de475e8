package members

import (
	"sync"
	"time"

	"github.com/orderd-dev/orderd/orderd/flash/clock"
)

// beatsKept is how many renewals wait for the watch to tell when the server stored them, and
// the other way round.
const beatsKept = 4

// beats match the renewals of the pod's entry, by revision, with what the watch says of them, and
// set the cluster's clock by each. All times but stored are readings of the pod's monotonic clock.
// Safe for concurrent use.
type beats struct {
	clock *clock.Clock

	// mu guards what waits for its other half, and keeps the order of observations.
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
func (h *beats) wrote(r renewal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.seen {
		if s.revision == r.revision && h.observe(r, s) {
			return
		}
	}
	h.renewed = append(h.renewed[max(0, len(h.renewed)-beatsKept+1):], r)
}

// saw takes an entry of the pod that the watch brought.
func (h *beats) saw(s sighting) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.renewed {
		if r.revision == s.revision && h.observe(r, s) {
			return
		}
	}
	h.seen = append(h.seen[max(0, len(h.seen)-beatsKept+1):], s)
}

// observe is false if they are not of the same write: a bucket that was made anew
// counts its revisions anew.
func (h *beats) observe(r renewal, s sighting) bool {
	if s.at < r.sent {
		return false
	}
	h.clock.Observe(r.sent, min(r.done, s.at), s.stored)
	return true
}
