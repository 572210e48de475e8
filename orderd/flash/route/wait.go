package route

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderd-dev/orderd/orderd/flash/client"
)

// waitStep is how much longer than another one a caller may have to wait.
const waitStep = time.Second

// waits end waits for orders. All that begin within a second share one channel and one timer: a
// deadline of its own for each, with what hangs on it, cost a sixteenth of what an order cost. Safe
// for concurrent use.
type waits struct {
	latest atomic.Pointer[sharedWait]
	// mu is held while the next is made, so that one is.
	mu sync.Mutex
}

type sharedWait struct {
	made time.Time
	over chan struct{}
}

// end is closed when a caller who comes now has waited for client.Timeout, or up to a second longer.
func (w *waits) end(now time.Time) <-chan struct{} {
	if s := w.fitting(now); s != nil {
		return s.over
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.fitting(now); s != nil {
		return s.over
	}
	s := &sharedWait{made: now, over: make(chan struct{})}
	time.AfterFunc(client.Timeout+waitStep, func() { close(s.over) })
	w.latest.Store(s)
	return s.over
}

// fitting is the latest, if a caller who comes now may share it.
func (w *waits) fitting(now time.Time) *sharedWait {
	if s := w.latest.Load(); s != nil && now.Sub(s.made).Abs() < waitStep {
		return s
	}
	return nil
}
