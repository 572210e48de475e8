package backends

import (
	"sync"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
)

// pauses are how long something that did not answer is left alone after one failure and more.
var pauses = backoff.Policy{First: 250 * time.Millisecond, Max: 5 * time.Second}

// gate stands before one server, and keeps callers from waiting for what does not answer. Its methods are
// safe for concurrent use.
type gate struct {
	// patience is how long an answer may take.
	patience time.Duration
	// silent makes the error of requests that were not answered within patience.
	silent func() error

	mu sync.Mutex
	// failures in a row, and the last one's error.
	failures int
	last     error
	// due is when one caller may try again.
	due time.Time
	// asked is when the oldest request was sent that nothing has been heard since; zero: there is none.
	asked time.Time
}

// enter is nil if the caller may ask, else what happened to the one before.
func (g *gate) enter(now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.asked.IsZero() && now.Sub(g.asked) >= g.patience {
		g.asked = time.Time{}
		g.fail(now, g.silent())
	}
	if g.failures == 0 {
		return nil
	}
	if now.Before(g.due) {
		return g.last
	}
	// This one tries. Should it never ask, another one may.
	g.due = now.Add(g.patience)
	return nil
}

// failed says that the server was asked and did not answer.
func (g *gate) failed(now time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail(now, err)
}

func (g *gate) fail(now time.Time, err error) {
	g.failures++
	g.last, g.due = err, now.Add(pauses.Delay(g.failures))
}

// sent says that a request was sent; whether it is answered is told by answered, or by nobody.
func (g *gate) sent(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked.IsZero() {
		g.asked = now
	}
}

// answered says that the server answers.
func (g *gate) answered() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures, g.last, g.asked = 0, nil, time.Time{}
}
