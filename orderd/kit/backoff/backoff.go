// Package backoff is how long orderd waits before it tries something again: longer after each
// failure, spread by chance so that those who failed together do not come back together, and no
// longer than their context lasts.
package backoff

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Random spreads delays. Unlike the [rand.Rand] it is made from it may be used by many goroutines.
type Random struct {
	mu sync.Mutex
	// mu guards source.
	source *rand.Rand
}

// NewRandom shares a source of randomness among goroutines. Nobody else may use the source
// afterwards.
func NewRandom(source *rand.Rand) *Random { return &Random{source: source} }

// Jitter is a delay between half of d and one and a half of it, evenly spread. d
// must not be negative.
func (r *Random) Jitter(d time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return d/2 + time.Duration(r.source.Int64N(int64(d)+1))
}

// Policy doubles a delay with every attempt.
type Policy struct {
	// First is the delay after one failed attempt.
	First time.Duration
	// Max is the longest delay.
	Max time.Duration
}

// maxDoublings keeps the doubled delay within 64 bits for every First below three hours.
const maxDoublings = 20

// Delay after so many failed attempts: First after one, twice as long after each more, Max at most.
// Fewer than one counts as one.
func (p Policy) Delay(attempts int) time.Duration {
	return min(p.First<<min(max(attempts-1, 0), maxDoublings), p.Max)
}

// Wait returns after d, or with ctx's error as soon as ctx ends.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
