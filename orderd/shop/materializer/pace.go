package materializer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
)

const (
	// lookAgain is how long a pacer waits at most before it looks at its part again.
	lookAgain = 100 * time.Millisecond
	// shortWait is how long it waits at least.
	shortWait = time.Millisecond
)

// pacer lets orders through at a rate that may change at any time: this worker's part of what all may write
// together. What is saved up is a second's orders, and one transaction's, at most; more orders than that
// are let through once that much is saved, and what they lack is waited for after them. So all workers
// write in no time more than their rate, and a second's more.
type pacer struct {
	perSecond float64
	// part of it, 0 to 1.
	part  func() float64
	clock func() time.Time

	// turn is whose it is to wait for orders to be saved: those who wait have it in the order in which they came, so
	// that many small transactions do not take what a large one waits for.
	turn chan struct{}

	mu sync.Mutex
	// saved orders at a time, and the rate since then.
	saved, rate float64
	at          time.Time
}

func newPacer(perSecond int, part func() float64, clock func() time.Time) *pacer {
	if part == nil {
		part = func() float64 { return 1 }
	}
	return &pacer{perSecond: float64(perSecond), part: part, clock: clock, turn: make(chan struct{}, 1)}
}

// now is the present rate, in orders a second.
func (p *pacer) now() float64 { return p.perSecond * p.part() }

// most is how many orders one transaction should have.
func (p *pacer) most() int { return int(capacity(p.now())) }

// capacity is how many orders are saved up at most.
func capacity(rate float64) float64 { return min(ordersAtOnce, max(1, rate)) }

// take so many orders, or say when to try again.
func (p *pacer) take(orders int) (wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, rate := p.clock(), p.now()
	if !p.at.IsZero() {
		// Nobody knows when the rate has changed, so the lower one counts.
		p.saved = min(p.saved+min(rate, p.rate)*max(0, now.Sub(p.at).Seconds()), capacity(rate))
	}
	p.at, p.rate = now, rate
	if rate == 0 {
		return lookAgain, false
	}
	needed := min(float64(orders), capacity(rate))
	if p.saved >= needed {
		p.saved -= float64(orders)
		return 0, true
	}
	wait = time.Duration((needed - p.saved) / rate * float64(time.Second))
	return min(max(wait, shortWait), lookAgain), false
}

// wait until so many orders may be written.
func (p *pacer) wait(ctx context.Context, orders int) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for the rate limit: %w", ctx.Err())
	}
	for {
		wait, ok := p.take(orders)
		if ok {
			return nil
		}
		if err := backoff.Wait(ctx, wait); err != nil {
			return fmt.Errorf("waiting for the rate limit: %w", err)
		}
	}
}

// untilAny waits until orders may be written at all.
func (p *pacer) untilAny(ctx context.Context) error {
	for p.now() == 0 {
		if err := backoff.Wait(ctx, lookAgain); err != nil {
			return fmt.Errorf("waiting for a part of the rate: %w", err)
		}
	}
	return nil
}
