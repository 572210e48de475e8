package overload

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// soonest is what a refused caller waits at least.
	soonest = 100 * time.Millisecond
	// The returns are spread over narrow at least, and wide at most.
	narrow = 500 * time.Millisecond
	wide   = 30 * time.Second
	// slowest is the rate, a second, at which refused callers can always come back.
	slowest = 100
)

// returns tells refused callers when to come back, so that they do not come as one wave. They
// queue, so to speak, without waiting here:
// the queue grows with each one refused, and shrinks as fast as the pod has accepted requests
// lately. A caller comes back at a random time until the queue's end: the more were refused, the
// longer the time over which they spread.
type returns struct {
	// end of the queue, in Unix nanoseconds.
	end atomic.Int64
	// step is how long the queue grows for a caller, in nanoseconds.
	step atomic.Int64
}

// setRate says how many requests a second the pod accepts.
func (r *returns) setRate(perSecond float64) {
	r.step.Store(int64(math.Ceil(float64(time.Second) / max(perSecond, slowest))))
}

// after is how long a caller who is refused now is to stay away.
func (r *returns) after(now time.Time, random func(int64) int64) time.Duration {
	at := now.UnixNano()
	for {
		end := r.end.Load()
		longer := min(max(end, at)+r.step.Load(), at+int64(wide))
		if !r.end.CompareAndSwap(end, longer) {
			continue
		}
		return soonest + time.Duration(random(max(longer-at, int64(narrow))))
	}
}
