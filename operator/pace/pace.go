// Package pace says how soon the controllers try again: soon enough for a sale that is about to start, and seldom
// enough for a thousand that wait for somebody.
package pace

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// A reconcile that failed is tried again after firstRetry, doubled each time up to lastRetry. Without a bound of
	// its own it grows to 17 minutes, and a sale's start may pass meanwhile.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second

	// shortest is how soon a step that was refused is tried again.
	shortest = 2 * time.Second
	// longest is how long it waits at most while nothing is due.
	longest = 5 * time.Minute
	// due is how long it waits at most once what it holds up is due.
	due = 10 * time.Second
	// share of the time to the next deadline that it may wait: some attempts are made before it whatever happens.
	share = 4
)

// RateLimiter of a controller's queue.
func RateLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)
}

// Backoff remembers since when things have been refused, so that what was refused for long is tried less often. Its
// zero value is empty; it is safe for concurrent use.
type Backoff struct {
	mu    sync.Mutex
	since map[string]time.Time
}

// Wait notes that the thing was refused now, and says when to try again: after as long as it has been refused so far,
// at least 2 seconds and at most 5 minutes. What is to be done by a deadline is tried more often as that comes
// closer; a zero deadline says that it is overdue, and that 10 seconds are the most.
func (b *Backoff) Wait(thing string, now, deadline time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	since, known := b.since[thing]
	// A clock that went back begins anew.
	if !known || since.After(now) {
		if b.since == nil {
			b.since = map[string]time.Time{}
		}
		since = now
		b.since[thing] = now
	}
	most := due
	if left := deadline.Sub(now); !deadline.IsZero() && left > 0 {
		most = min(longest, left/share)
	}
	return max(shortest, min(now.Sub(since), most))
}

// Forget that the thing was refused: it was done, or is gone.
func (b *Backoff) Forget(thing string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.since, thing)
}
