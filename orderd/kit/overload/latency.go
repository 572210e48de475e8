package overload

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// enough calls tell how long those of their class take.
	enough = 20
	// watched is the share of a class's calls that are to be as quick as usual. Callers who send
	// slowly make calls slow as well: one in ten of them says nothing.
	watched = 0.9
	// instant is as quick as a call can count for: shorter differences are the scheduler's.
	instant = float64(2 * time.Millisecond)
	// How usual follows what is measured: down quickly, and up slowly, in quiet times only.
	followDown = 0.1
	followUp   = 0.02
	// accept is how usual rises in each interval in which calls are slow with the lowest limit:
	// then that is how long they take.
	accept = 1.02

	// steps of the histogram in each doubling of the time, from a microsecond to half a minute.
	steps   = 4
	buckets = 25 * steps
)

// Class is calls that take about as long as each other.
type Class struct {
	gate   *Gate
	counts [buckets]atomic.Uint32
	// usual is how long the watched share of the calls takes at most when little is going on, in
	// nanoseconds; 0: not known yet.
	usual float64
}

// Class makes one. Make each once, when the pod starts.
func (g *Gate) Class() *Class {
	c := &Class{gate: g}
	g.classesMu.Lock()
	defer g.classesMu.Unlock()
	g.classes = append(g.classes[:len(g.classes):len(g.classes)], c)
	return c
}

// Observe a call that was answered without an error now, and how long it took. Refusals are quicker
// than the work, and would have it look slow.
func (c *Class) Observe(now time.Time, took time.Duration) {
	c.counts[bucketOf(took)].Add(1)
	c.gate.look(now)
}

// bucketOf is the octave of the microseconds, and the two bits after its first.
func bucketOf(d time.Duration) int {
	us := uint64(max(d/time.Microsecond, 1))
	octave := bits.Len64(us) - 1
	var part uint64
	if octave >= 2 {
		part = us >> (octave - 2) & (steps - 1)
	} else {
		part = us << (2 - octave) & (steps - 1)
	}
	return min(octave*steps+int(part), buckets-1)
}

// lower bound of a bucket, in nanoseconds.
func lower(bucket int) float64 {
	return math.Ldexp(1+float64(bucket%steps)/steps, bucket/steps) * float64(time.Microsecond)
}

// take returns how long the watched share took since it was last asked, and of how many; none if
// there were too few yet.
func (c *Class) take() (took float64, calls int) {
	var counts [buckets]uint32
	for i := range c.counts {
		counts[i] = c.counts[i].Load()
		calls += int(counts[i])
	}
	if calls < enough {
		return 0, 0
	}
	rank, seen, found := watched*float64(calls), 0.0, false
	for i, n := range counts {
		if n == 0 {
			continue
		}
		c.counts[i].Add(-n)
		if !found && seen+float64(n) >= rank {
			took, found = lower(i)+(lower(i+1)-lower(i))*(rank-seen)/float64(n), true
		}
		seen += float64(n)
	}
	return took, calls
}

// slowness is how much longer than usual calls took, over all classes, and 0 if too few were made
// to tell. What is usual is learned on the way.
func slownessOf(classes []*Class, quiet, idle bool) float64 {
	var sum, all float64
	for _, c := range classes {
		took, calls := c.take()
		if calls == 0 {
			continue
		}
		switch {
		case c.usual == 0:
			c.usual = took
		case took < c.usual:
			c.usual += followDown * (took - c.usual)
		case quiet:
			c.usual += followUp * (took - c.usual)
		case idle && took > tolerated*max(c.usual, instant):
			c.usual = max(c.usual, instant) * accept
		}
		sum += float64(calls) * took / max(c.usual, instant)
		all += float64(calls)
	}
	if all == 0 {
		return 0
	}
	return sum / all
}
