// Package clock tells the cluster's time: that of the servers which hold the pool's membership, so
// that a sale opens at the same moment on every pod, whatever a pod's own wall clock says.
//
// A pod writes an entry, and learns when the server stored it. That was between sending and the
// first sign of it, so the server's time now is at least the stored time and what has passed since
// that sign. The best such bound is kept; it is never ahead of the server's clock, and behind it by
// no more than the quickest write took.
package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// driftPart is how much two clocks may drift apart: one part in 5,000, 200 ppm. Clocks kept by
	// NTP stay well below.
	driftPart = 5000
	// confirmations are how many observations in a row must say that the server's clock went ahead
	// before that is believed. Another server may have taken over whose clock is fast, and the one
	// before may come back.
	confirmations = 5
)

// Clock of the cluster. The zero value knows nothing yet. Safe for concurrent use.
//
// Its arguments named elapsed are readings of the pod's monotonic clock, all from the same moment
// on; how far its wall clock is set, or steps, makes no difference to Now.
type Clock struct {
	known atomic.Pointer[bounds]

	mu sync.Mutex
	// ahead has what recent observations agree on that are all ahead of known, and aheadCount how
	// many they are.
	ahead      bounds
	aheadCount int
}

// bounds of the server's time, as lines over elapsed time: at least low at lowAt, at most high at
// highAt.
type bounds struct {
	low, high     time.Time
	lowAt, highAt time.Duration
}

func drift(d time.Duration) time.Duration { return max(d, -d) / driftPart }

func (b *bounds) lower(elapsed time.Duration) time.Time {
	passed := elapsed - b.lowAt
	return b.low.Add(passed - drift(passed))
}

func (b *bounds) upper(elapsed time.Duration) time.Time {
	passed := elapsed - b.highAt
	return b.high.Add(passed + drift(passed))
}

// narrow takes the better of each bound. Lines of the same slope stay in their order, and the drift
// lets a line of today win over one of yesterday.
func (b *bounds) narrow(other *bounds, elapsed time.Duration) bounds {
	n := *b
	if other.lower(elapsed).After(b.lower(elapsed)) {
		n.low, n.lowAt = other.low, other.lowAt
	}
	if other.upper(elapsed).Before(b.upper(elapsed)) {
		n.high, n.highAt = other.high, other.highAt
	}
	return n
}

// before says that a's clock is behind b's for certain.
func (b *bounds) before(other *bounds, elapsed time.Duration) bool {
	return b.upper(elapsed).Before(other.lower(elapsed))
}

// Observe takes a write that was sent, and was first seen to be done, at these readings, and the
// time the server gave it. One that the server's clock is behind of what was known is believed at
// once, one that it is ahead of it only after a few more: of two servers with different clocks the
// slow one counts, so that nothing is early by either.
func (c *Clock) Observe(sent, received time.Duration, stored time.Time) {
	if received < sent {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := &bounds{low: stored, lowAt: received, high: stored, highAt: sent}
	known := c.known.Load()
	switch {
	case known == nil || seen.before(known, received):
		c.know(*seen)
	case known.before(seen, received):
		c.goneAhead(seen, received)
	default:
		c.know(known.narrow(seen, received))
	}
}

func (c *Clock) know(b bounds) {
	c.known.Store(&b)
	c.aheadCount = 0
}

func (c *Clock) goneAhead(seen *bounds, elapsed time.Duration) {
	c.aheadCount++
	switch {
	case c.aheadCount == 1 || seen.before(&c.ahead, elapsed):
		c.ahead = *seen
	case !c.ahead.before(seen, elapsed):
		c.ahead = c.ahead.narrow(seen, elapsed)
	}
	if c.aheadCount >= confirmations {
		c.know(c.ahead)
	}
}

// Now is the latest time that is certainly not ahead of the server's clock, in UTC. False: nothing
// was observed yet. It goes back only when the server's clock did.
func (c *Clock) Now(elapsed time.Duration) (time.Time, bool) {
	known := c.known.Load()
	if known == nil {
		return time.Time{}, false
	}
	return known.lower(elapsed).UTC(), true
}

// Skew is how far a wall clock that was read at elapsed is ahead of the server's clock for certain;
// negative if it is behind; 0 if it may be right. False: nothing was observed yet.
func (c *Clock) Skew(elapsed time.Duration, wall time.Time) (time.Duration, bool) {
	known := c.known.Load()
	if known == nil {
		return 0, false
	}
	if upper := known.upper(elapsed); wall.After(upper) {
		return wall.Sub(upper), true
	}
	return min(0, wall.Sub(known.lower(elapsed))), true
}
