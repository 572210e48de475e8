// Package batch lets calls that come at once share a transaction: what comes while one is under way
// is taken together by the next.
package batch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rescue"
)

// ErrFull says that as many calls wait as may.
var ErrFull = errors.New("too many calls wait")

// Handler takes many items at once. It returns a result for each item, by its place, or an error
// that is all items'. Its context ends with the time-out; no caller's does.
type Handler[T, R any] func(ctx context.Context, items []T) ([]Result[R], error)

// Result is one item's.
type Result[R any] struct {
	Value R
	Err   error
}

// Options of a Batcher. All have to be set but Observe.
type Options struct {
	// Limit is how many calls wait at most.
	Limit int
	// Size is how many a batch has at most.
	Size int
	// Parallel is how many batches are under way at once at most.
	Parallel int
	// Beside is how many calls have to wait before a batch begins beside one that is under way, so
	// that batches stay large; 0 is none.
	Beside int
	// Timeout bounds a batch.
	Timeout time.Duration
	// Observe is told of every batch's size, unless nil.
	Observe func(size int)
}

// Batcher gathers calls. Safe for concurrent use.
type Batcher[T, R any] struct {
	options Options
	handle  Handler[T, R]

	mu      sync.Mutex
	waiting []call[T, R]
	running int
}

type call[T, R any] struct {
	ctx  context.Context
	item T
	done chan<- Result[R]
}

// New makes a batcher, which costs nothing while nobody calls.
func New[T, R any](o Options, handle Handler[T, R]) *Batcher[T, R] {
	return &Batcher[T, R]{options: o, handle: handle}
}

// Do returns the item's result once its batch is through, or ErrFull at once. After ctx has ended
// the item may still be handled.
func (b *Batcher[T, R]) Do(ctx context.Context, item T) (R, error) {
	done := make(chan Result[R], 1)
	b.mu.Lock()
	if len(b.waiting) >= b.options.Limit {
		b.mu.Unlock()
		var none R
		return none, ErrFull
	}
	b.waiting = append(b.waiting, call[T, R]{ctx: ctx, item: item, done: done})
	if b.running == 0 || b.running < b.options.Parallel && len(b.waiting) >= b.options.Beside {
		b.running++
		// What one caller's context says is nothing to the others in its batch.
		go b.drain(context.WithoutCancel(ctx))
	}
	b.mu.Unlock()
	select {
	case r := <-done:
		return r.Value, r.Err
	case <-ctx.Done():
		var none R
		return none, ctx.Err()
	}
}

// drain takes batches until nothing waits, then ends.
func (b *Batcher[T, R]) drain(ctx context.Context) {
	for {
		calls := b.next()
		if calls == nil {
			return
		}
		if b.options.Observe != nil {
			b.options.Observe(len(calls))
		}
		b.run(ctx, calls)
	}
}

// next takes the calls that wait and whose callers still do; none ends the drain, and so do too few
// beside another batch.
func (b *Batcher[T, R]) next() []call[T, R] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running > 1 && len(b.waiting) < b.options.Beside {
		b.running--
		return nil
	}
	var calls []call[T, R]
	n := 0
	for ; n < len(b.waiting) && len(calls) < b.options.Size; n++ {
		if b.waiting[n].ctx.Err() == nil {
			calls = append(calls, b.waiting[n])
		}
	}
	b.waiting = b.waiting[n:]
	if len(calls) == 0 {
		b.waiting = nil
		b.running--
		return nil
	}
	return calls
}

// run handles calls; those that cannot be handled together are halved until the ones that cannot be
// handled at all are alone, so that they do not hold up the others. What may help by itself, later,
// is left to the callers.
func (b *Batcher[T, R]) run(ctx context.Context, calls []call[T, R]) {
	items := make([]T, len(calls))
	for i, c := range calls {
		items[i] = c.item
	}
	handling, cancel := context.WithTimeout(ctx, b.options.Timeout)
	// An item that causes a panic fails alone: HTTP's own recovery does not reach this goroutine,
	// and the item's caller would come back with it to the next pod.
	results, err := rescue.Do(func() ([]Result[R], error) { return b.handle(handling, items) })
	cancel()
	if err != nil && len(calls) > 1 && database.ClassOf(err) == database.Final &&
		!errors.Is(err, context.DeadlineExceeded) {
		half := len(calls) / 2
		b.run(ctx, calls[:half])
		b.run(ctx, calls[half:])
		return
	}
	for i, c := range calls {
		if err != nil {
			c.done <- Result[R]{Err: err}
			continue
		}
		c.done <- results[i]
	}
}
