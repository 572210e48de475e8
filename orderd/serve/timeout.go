package serve

import (
	"context"
	"sync"
	"time"
)

// timeout is context.WithTimeout that starts its timer only once somebody waits for it: a call that is answered from memory, as most
// refusals in a sale are, pays nothing for it.
type timeout struct {
	context.Context

	deadline time.Time

	mu     sync.Mutex
	timed  context.Context
	cancel context.CancelFunc
	ended  bool
}

func withTimeout(parent context.Context, d time.Duration) *timeout {
	deadline := time.Now().Add(d)
	if earlier, ok := parent.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
	}
	return &timeout{Context: parent, deadline: deadline}
}

// end frees what the context holds. It is cancelled from then on.
func (t *timeout) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if t.cancel != nil {
		t.cancel()
	}
}

// Deadline is known without a timer.
func (t *timeout) Deadline() (time.Time, bool) { return t.deadline, true }

// Done begins to wait.
func (t *timeout) Done() <-chan struct{} { return t.real().Done() }

// Err is Done's, without a timer while the time has not passed: who asks only now and then pays for no waiting.
func (t *timeout) Err() error {
	if t.goesOn() {
		return nil
	}
	return t.real().Err()
}

// goesOn says that nobody has begun to wait, and nothing has ended the context.
func (t *timeout) goesOn() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.timed == nil && !t.ended && t.Context.Err() == nil && time.Now().Before(t.deadline)
}

// Value is the timed context's, once there is one: the contexts below find it by a value.
func (t *timeout) Value(key any) any {
	t.mu.Lock()
	timed := t.timed
	t.mu.Unlock()
	if timed != nil {
		return timed.Value(key)
	}
	return t.Context.Value(key)
}

func (t *timeout) real() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timed == nil {
		t.timed, t.cancel = context.WithDeadline(t.Context, t.deadline)
		if t.ended {
			t.cancel()
		}
	}
	return t.timed
}
