package overload

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// longest is how long a refusal is delayed at most.
	longest = time.Second
	// mostDelayed bounds the requests whose refusals are delayed; each has the memory of a
	// request that was not read.
	mostDelayed = 1 << 14
	// freely is how many refusals a second are answered at once whatever is accepted.
	freely = 500
	// quarter of what is accepted may be refused at once; what is more is delayed.
	quarter = 4
)

// delay slows down callers who come back at once although they were told not to. A refusal costs a
// pod about half of what an accepted request does; when most of what it does is refusing, those
// that it accepted wait for it. So refusals are then delayed, without any work: a
// caller who waits for an answer cannot ask again. Callers who keep to the retry delay are few at a
// time, and hear at once.
type delay struct {
	length atomic.Int64
	now    atomic.Int64
}

// adapt delays refusals for longer if more were refused than accepted, both a second, and for less long if
// fewer.
func (d *delay) adapt(refused, accepted float64) {
	now := time.Duration(d.length.Load())
	if refused > max(accepted/quarter, freely) {
		now = min(now*3/2+5*time.Millisecond, longest)
	} else {
		now = now * 9 / 10
		if now < time.Millisecond {
			now = 0
		}
	}
	d.length.Store(int64(now))
}

// wait delays a refusal, but not for longer than its caller waits.
func (d *delay) wait(ctx context.Context, random func(int64) int64) {
	longest := d.length.Load()
	if longest == 0 {
		return
	}
	defer d.now.Add(-1)
	if d.now.Add(1) > mostDelayed {
		return
	}
	timer := time.NewTimer(time.Duration(longest/2 + random(longest/2+1)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
