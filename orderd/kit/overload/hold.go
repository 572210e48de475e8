package overload

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// longest is how long a refusal is held back at most.
	longest = time.Second
	// mostHeld bounds the requests whose refusals are held back; each has the memory of a
	// request that was not read.
	mostHeld = 1 << 14
	// freely is how many refusals a second are answered at once whatever is accepted.
	freely = 500
	// quarter of what is accepted may be refused at once; what is more is held back.
	quarter = 4
)

// hold slows down callers who come back at once although they were told not to. A refusal costs a
// pod about half of what an accepted request does; when most of what it does is refusing, those
// that it accepted wait for it. So refusals are then held back for a while, without any work: a
// caller who waits for an answer cannot ask again. Callers who keep to the retry delay are few at a
// time, and hear at once.
type hold struct {
	length atomic.Int64
	held   atomic.Int64
}

// adapt holds refusals longer if more were refused than accepted, both a second, and shorter if
// fewer.
func (h *hold) adapt(refused, accepted float64) {
	now := time.Duration(h.length.Load())
	if refused > max(accepted/quarter, freely) {
		now = min(now*3/2+5*time.Millisecond, longest)
	} else {
		now = now * 9 / 10
		if now < time.Millisecond {
			now = 0
		}
	}
	h.length.Store(int64(now))
}

// wait holds a request back, but not for longer than its caller waits.
func (h *hold) wait(ctx context.Context, random func(int64) int64) {
	longest := h.length.Load()
	if longest == 0 {
		return
	}
	defer h.held.Add(-1)
	if h.held.Add(1) > mostHeld {
		return
	}
	timer := time.NewTimer(time.Duration(longest/2 + random(longest/2+1)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
