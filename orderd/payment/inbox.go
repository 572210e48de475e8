package payment

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/orderd-dev/orderd/orderd/database"
)

const (
	// inboxLimit is how many notifications of a provider wait in a process; more are to be sent again.
	inboxLimit = 2048
	// inboxBatch is how many one transaction takes.
	inboxBatch = 128
	// inboxTimeout bounds a transaction.
	inboxTimeout = 10 * time.Second
)

var errInboxFull = errors.New("too many notifications wait")

// inbox gathers the notifications that come while a transaction is under way, and takes them all in the
// next one: after a sale thousands pay for the same few SKUs, whose rows of stock are then locked once a
// batch and not once a payment.
type inbox struct {
	take    func(context.Context, []Notification) ([]error, error)
	metrics *metrics

	mu      sync.Mutex
	waiting []waiter
	running bool
}

type waiter struct {
	told Notification
	done chan<- error
}

func newInbox(take func(context.Context, []Notification) ([]error, error), m *metrics) *inbox {
	return &inbox{take: take, metrics: m}
}

// put returns once the notification's effect is committed, or why it is not.
func (i *inbox) put(ctx context.Context, told Notification) error {
	done := make(chan error, 1)
	i.mu.Lock()
	if len(i.waiting) >= inboxLimit {
		i.mu.Unlock()
		return errInboxFull
	}
	i.waiting = append(i.waiting, waiter{told: told, done: done})
	if !i.running {
		i.running = true
		// What one caller's context says is nothing to the others in its batch.
		go i.drain(context.WithoutCancel(ctx))
	}
	i.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain takes batches until nothing waits, then ends.
func (i *inbox) drain(ctx context.Context) {
	for {
		i.mu.Lock()
		n := min(len(i.waiting), inboxBatch)
		batch := i.waiting[:n:n]
		i.waiting = i.waiting[n:]
		if n == 0 {
			i.waiting, i.running = nil, false
			i.mu.Unlock()
			return
		}
		i.mu.Unlock()
		i.metrics.batch.Observe(float64(n))
		i.handle(ctx, batch)
	}
}

// handle takes a batch; one that cannot be taken as a whole is taken one by one, so that a single bad
// notification does not hold up the others.
func (i *inbox) handle(ctx context.Context, batch []waiter) {
	told := make([]Notification, len(batch))
	for n, w := range batch {
		told[n] = w.told
	}
	taking, cancel := context.WithTimeout(ctx, inboxTimeout)
	refused, err := i.take(taking, told)
	cancel()
	if err != nil && len(batch) > 1 && database.ClassOf(err) == database.Final && !errors.Is(err, context.DeadlineExceeded) {
		for n := range batch {
			i.handle(ctx, batch[n:n+1])
		}
		return
	}
	for n, w := range batch {
		if err != nil {
			w.done <- err
			continue
		}
		w.done <- refused[n]
	}
}
