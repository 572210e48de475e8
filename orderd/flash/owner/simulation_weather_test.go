package owner_test

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

// dice are a seeded random source that several goroutines may use.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

// newDice gives every part of a simulation its own sequence, so that one does not disturb the
// others'.
func newDice(seed uint64, part string) *dice {
	return &dice{r: rand.New(rand.NewPCG(seed, partition.Hash(part)))}
}

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

func (d *dice) chance(p float64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.Float64() < p
}

// between draws nanoseconds, so that two timers hardly ever fire at the same instant.
func (d *dice) between(from, to time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return from + time.Duration(d.r.Int64N(int64(to-from)+1))
}

func (d *dice) jitter(delay time.Duration) time.Duration { return d.between(delay/2, delay*3/2) }

// Read makes dice a source of order ids.
func (d *dice) Read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range p {
		p[i] = byte(d.r.Uint32())
	}
	return len(p), nil
}

// fate is what becomes of a message and its answer.
type fate struct {
	there, back       time.Duration
	arrives, answered bool
	// broken is when the caller learns that the connection broke; 0: never.
	broken time.Duration
}

func (f fate) breaks() <-chan time.Time {
	if f.broken == 0 {
		return nil
	}
	return time.After(f.broken)
}

// weather decides the fate of messages. rate is how many of them meet a fault.
type weather struct {
	*dice
	rate float64

	mu   sync.Mutex
	calm bool
}

func (w *weather) setCalm(calm bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calm = calm
}

func (w *weather) strikes() bool {
	w.mu.Lock()
	calm := w.calm
	w.mu.Unlock()
	return !calm && w.chance(w.rate)
}

func (w *weather) good() fate {
	there, back := w.between(50*time.Microsecond, 2*time.Millisecond), w.between(50*time.Microsecond, 2*time.Millisecond)
	return fate{there: there, back: back, arrives: true, answered: true}
}

// append is the fate of an append: with a fault it never lands, or lands without its writer's
// knowledge, at once or long after the writer gave it up, or it is only slow.
func (w *weather) append() fate {
	f := w.good()
	if !w.strikes() {
		return f
	}
	if w.chance(0.5) {
		f.broken = w.between(time.Millisecond, 30*time.Millisecond)
	}
	switch w.n(4) {
	case 0:
		f.arrives = false
	case 1:
		f.answered = false
	case 2:
		f.there, f.answered = w.late(), false
	default:
		f.there, f.back = w.late(), w.late()
	}
	return f
}

// late is a little or much longer than a writer waits.
func (w *weather) late() time.Duration {
	if w.chance(0.5) {
		return w.between(time.Millisecond, 100*time.Millisecond)
	}
	return w.between(100*time.Millisecond, 5*time.Second)
}

// read is the fate of a question to the log.
func (w *weather) read() fate {
	f := w.good()
	if w.strikes() {
		if w.chance(0.5) {
			f.there = w.late()
		} else {
			f.broken = f.there / 2
		}
	}
	return f
}

// call is the fate of a call to a pod.
func (w *weather) call() fate {
	f := w.good()
	if !w.strikes() {
		return f
	}
	switch w.n(4) {
	case 0:
		f.arrives = false
	case 1:
		f.answered = false
	case 2:
		f.there = w.late()
	default:
		f.back = w.late()
	}
	if w.chance(0.5) {
		f.broken = w.between(time.Millisecond, 2*time.Second)
	}
	return f
}
