package flash

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// patienceStep is how much longer than another one a caller may have to wait.
const patienceStep = time.Second

// patience ends waits for orders. All that begin within a second share one channel and one timer: a deadline of its own for each, with what
// hangs on it, cost a sixteenth of what an order cost. Safe for concurrent use.
type patience struct {
	now    atomic.Pointer[shared]
	making sync.Mutex
}

type shared struct {
	made time.Time
	over chan struct{}
}

// over is closed when a caller who comes now has waited for forwardTimeout, or up to a second longer.
func (p *patience) over(now time.Time) <-chan struct{} {
	if s := p.now.Load(); s != nil && now.Sub(s.made).Abs() < patienceStep {
		return s.over
	}
	p.making.Lock()
	defer p.making.Unlock()
	if s := p.now.Load(); s != nil && now.Sub(s.made).Abs() < patienceStep {
		return s.over
	}
	s := &shared{made: now, over: make(chan struct{})}
	time.AfterFunc(forwardTimeout+patienceStep, func() { close(s.over) })
	p.now.Store(s)
	return s.over
}

// patient is a caller's context whose end is noticed by whoever asks for it, and ends no wait before patience does.
type patient struct {
	context.Context
	over <-chan struct{}
}

// Done implements context.Context.
func (p *patient) Done() <-chan struct{} { return p.over }
