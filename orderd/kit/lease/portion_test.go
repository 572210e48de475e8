package lease

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// counting is one worker of a simulation, whose time goes in milliseconds: it writes itself into the table and counts
// who is there, as a Census does, and each of that may take long.
type counting struct {
	name    string
	portion Portion
	// next is when its next step is, and step which: it begins, writes, counts, or hears of the count.
	next, step int
	began      time.Time
	written    time.Time
	workers    int
	dead       bool
}

const (
	simTTL   = 5000
	simValid = 3000
	simBeat  = 1000
)

func at(ms int) time.Time { return time.UnixMilli(int64(ms)) }

// table has until when each worker is in it.
type table map[string]int

func (c *counting) turn(t *rapid.T, now int, in table) {
	delay := func() int {
		// Mostly fast; now and then a call hangs for longer than a count is good.
		if rapid.IntRange(0, 9).Draw(t, "hangs") == 0 {
			return rapid.IntRange(0, simTTL*3/2).Draw(t, "long")
		}
		return rapid.IntRange(0, 30).Draw(t, "short")
	}
	switch c.step {
	case 0:
		c.began = at(now)
	case 1:
		in[c.name] = now + simTTL
		c.written = at(now)
	case 2:
		c.workers = 0
		for _, until := range in {
			if until > now {
				c.workers++
			}
		}
	case 3:
		c.portion.Counted(c.began, c.written, c.workers)
		c.step, c.next = 0, now+simBeat
		return
	}
	c.step, c.next = c.step+1, now+1+delay()
}

// However workers begin, die and hang, their parts never make more than one together.
func TestPartsAreNeverMoreThanOneTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, workers := table{}, []*counting{}
		begin := func(now int) {
			workers = append(workers, &counting{
				name: fmt.Sprint("worker-", len(workers)), next: now, portion: Portion{Valid: simValid * time.Millisecond},
			})
		}
		for range rapid.IntRange(1, 4).Draw(t, "at first") {
			begin(0)
		}
		for now := 0; now < 20_000; now += 10 {
			if now%500 == 0 {
				switch rapid.IntRange(0, 9).Draw(t, "event") {
				case 0:
					begin(now)
				case 1:
					workers[rapid.IntRange(0, len(workers)-1).Draw(t, "dies")].dead = true
				}
			}
			sum := 0.0
			for _, w := range workers {
				if !w.dead && w.next <= now {
					w.turn(t, now, in)
				}
				if !w.dead {
					sum += w.portion.Of(at(now))
				}
			}
			if sum > 1+1e-9 {
				t.Fatalf("at %d ms the parts make %.3f", now, sum)
			}
		}
	})
}

func TestAPart(t *testing.T) {
	valid := simValid * time.Millisecond
	type step struct {
		// count at a time; 0 workers: none.
		at, workers int
		// want is the part right after it.
		want float64
	}
	for name, steps := range map[string][]step{
		"alone at once":           {{0, 0, 0}, {1, 1, 1}, {1000, 1, 1}},
		"others know it only now": {{1, 3, 0}, {1000, 3, 0}, {3000, 3, 0}, {3001, 3, 1. / 3}},
		"another comes":           {{1, 1, 1}, {1000, 2, 0.5}, {2000, 3, 1. / 3}},
		"another dies":            {{1, 1, 1}, {1000, 2, 0.5}, {2000, 1, 1}},
		"the count is old":        {{1, 1, 1}, {3000, 0, 1}, {3001, 0, 0}},
		"it begins anew":          {{1, 1, 1}, {3500, 2, 0}, {6000, 2, 0}, {6500, 2, 0.5}},
		"it begins anew, alone":   {{1, 1, 1}, {3500, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			p := Portion{Valid: valid}
			for _, s := range steps {
				if s.workers > 0 {
					p.Counted(at(s.at), at(s.at), s.workers)
				}
				if got := p.Of(at(s.at)); got != s.want {
					t.Errorf("at %d ms the part is %v, want %v", s.at, got, s.want)
				}
			}
			p.Leave()
			if got := p.Of(at(steps[len(steps)-1].at)); got != 0 {
				t.Errorf("who leaves keeps %v", got)
			}
		})
	}
}

// quickCensus runs until it is stopped.
func quickCensus(t *testing.T, pool *pgxpool.Pool, worker string) (c *Census, stop func()) {
	t.Helper()
	c, err := NewCensus(CensusOptions{
		Pool: pool, Kind: "census", Worker: worker, TTL: 2 * time.Second, Clock: time.Now,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	var stopped bool
	stop = func() {
		if cancel(); !stopped {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		stopped = true
	}
	t.Cleanup(stop)
	return c, stop
}

func TestWorkersDivideWhatIsPromisedForAll(t *testing.T) {
	pool := testdb.NewPool(t)
	a, _ := quickCensus(t, pool, "a")
	until(t, func() bool { return a.Part() == 1 })
	b, stop := quickCensus(t, pool, "b")
	until(t, func() bool {
		if sum := b.Part() + a.Part(); sum > 1 {
			t.Errorf("the parts make %v", sum)
		}
		return a.Part() == 0.5 && b.Part() == 0.5
	})
	stop()
	if b.Part() != 0 {
		t.Error("who has left has a part")
	}
	until(t, func() bool { return a.Part() == 1 })

	// One that dies is counted until its entry expires.
	if _, err := pool.Exec(t.Context(), enterSQL, "census", "dead", 2000); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return a.Part() == 0.5 })
	until(t, func() bool { return a.Part() == 1 })
	if _, err := pool.Exec(t.Context(), enterSQL, "another kind", "c", 60_000); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return a.Part() == 1 })
}

func until(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("it never came to that")
		}
	}
}
