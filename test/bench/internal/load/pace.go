package load

import (
	"sync/atomic"
	"time"
)

// pace says when requests are due. Callers share it: whoever is free takes the next request, and
// waits until it is due.
type pace struct {
	began time.Time
	// every is the time between two requests; 0: they are due whenever a caller is free.
	every  time.Duration
	taken  atomic.Int64
	unsent atomic.Int64
}

func newPace(rate float64, began time.Time) *pace {
	p := &pace{began: began}
	if rate > 0 {
		p.every = max(time.Duration(float64(time.Second)/rate), 1)
	}
	return p
}

// next waits for the next request and returns when it was due, or when it will be if that is not
// before until. Requests that were due while every caller was busy are not made up for, but
// counted: in truth each has a caller of its own, who would not have waited for another's answer.
func (p *pace) next(until time.Time) time.Time {
	if p.every == 0 {
		return time.Now()
	}
	n := p.take(time.Since(p.began))
	due := p.began.Add(time.Duration(n) * p.every)
	if due.Before(until) {
		time.Sleep(time.Until(due))
	}
	return due
}

// take the first request that nobody took and that is due at or after a time since the beginning.
func (p *pace) take(since time.Duration) int64 {
	for {
		taken := p.taken.Load()
		n := max(taken, int64((since+p.every-1)/p.every))
		if p.taken.CompareAndSwap(taken, n+1) {
			p.unsent.Add(n - taken)
			return n
		}
	}
}
