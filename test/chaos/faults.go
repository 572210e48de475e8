package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// fault is one thing that fails for a time.
type fault struct {
	at, last time.Duration
	name     string
	// which pod or server.
	index int
	// weather of a connection.
	weather weather
	// skew of the clock that a pod comes back with.
	skew time.Duration
}

func (f fault) String() string {
	s := fmt.Sprintf("%s@%.1f+%.1f", f.name, f.at.Seconds(), f.last.Seconds())
	if f.skew != 0 {
		s += fmt.Sprintf("(%+.1fs)", f.skew.Seconds())
	}
	return s
}

// kinds of faults with how often they come.
var kinds = []struct {
	weight int
	make   func(r *rand.Rand) fault
}{
	{5, func(r *rand.Rand) fault {
		return fault{name: "kill-flash", index: r.IntN(flashes), last: between(r, 0, 1500)}
	}},
	{3, func(r *rand.Rand) fault {
		return fault{name: "pause-flash", index: r.IntN(flashes), last: between(r, 3300, 4500)}
	}},
	{2, func(r *rand.Rand) fault {
		return fault{name: "hiccup-flash", index: r.IntN(flashes), last: between(r, 100, 1500)}
	}},
	{3, func(r *rand.Rand) fault {
		return fault{name: "kill-worker", index: r.IntN(workers), last: between(r, 0, 1500)}
	}},
	{1, func(r *rand.Rand) fault {
		return fault{name: "pause-worker", index: r.IntN(workers), last: between(r, 500, 4500)}
	}},
	{2, func(r *rand.Rand) fault { return fault{name: "kill-standard", last: between(r, 0, 1500)} }},
	{3, func(r *rand.Rand) fault { return fault{name: "kill-leader", last: between(r, 300, 2500)} }},
	{2, func(r *rand.Rand) fault {
		return fault{name: "kill-nats", index: r.IntN(replicas), last: between(r, 300, 2500)}
	}},
	{2, func(r *rand.Rand) fault {
		return fault{name: "stall-nats", index: r.IntN(replicas), last: between(r, 100, 1500)}
	}},
	{3, func(r *rand.Rand) fault {
		return fault{
			name:    "no-nats",
			index:   r.IntN(flashes),
			weather: []weather{cut, halfOpen, slow}[r.IntN(3)],
			last:    between(r, 500, 4500),
		}
	}},
	{1, func(r *rand.Rand) fault {
		return fault{
			name:    "no-nats-worker",
			index:   r.IntN(workers),
			weather: []weather{cut, halfOpen, slow}[r.IntN(3)],
			last:    between(r, 500, 3000),
		}
	}},
	{3, func(r *rand.Rand) fault {
		return fault{
			name:    "no-peers",
			index:   r.IntN(flashes),
			weather: []weather{cut, halfOpen, slow}[r.IntN(3)],
			last:    between(r, 500, 3000),
		}
	}},
	{2, func(r *rand.Rand) fault {
		return fault{name: "no-database", weather: []weather{cut, halfOpen, slow}[r.IntN(3)], last: between(r, 500, 4000)}
	}},
	{1, func(r *rand.Rand) fault { return fault{name: "kill-database", last: between(r, 0, 3000)} }},
	{2, func(r *rand.Rand) fault {
		f := fault{name: "skew", index: r.IntN(flashes), last: between(r, 0, 500), skew: between(r, 600, 10000)}
		if r.IntN(2) == 0 {
			f.skew = -f.skew
		}
		return f
	}},
	{1, func(r *rand.Rand) fault { return fault{name: "kill-all", last: between(r, 0, 1000)} }},
}

// onServers are the faults of NATS servers, of which at most one is down at a time.
var onServers = []string{"kill-leader", "kill-nats", "stall-nats", "kill-all"}

func between(r *rand.Rand, least, most int) time.Duration {
	return time.Duration(least+r.IntN(most-least+1)) * time.Millisecond
}

func newFaults(r *rand.Rand, p *plan) []fault {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	var all []fault
	var serversFree time.Duration
	count := 1 + r.IntN(5)
	for range count {
		n := r.IntN(total)
		var f fault
		for _, k := range kinds {
			if n -= k.weight; n < 0 {
				f = k.make(r)
				break
			}
		}
		// From before the start to the end and, some, into the settlement.
		f.at = between(r, 0, int((ahead+p.open).Milliseconds())+500) - ahead
		if f.name == "skew" && r.IntN(2) == 0 {
			// It serves before the sale starts, and by its clock the sale is on, if that is ahead.
			f.skew /= 3
			f.at, f.last, p.early = -ahead-early, 0, true
			all = append(all, f)
			continue
		}
		if slices.Contains(onServers, f.name) {
			// A server needs a moment to catch up before the next may go.
			f.at = max(f.at, serversFree)
			if f.at+f.last > p.open+time.Second {
				continue
			}
			serversFree = f.at + f.last + 2*time.Second
		}
		if f.name == "kill-leader" || f.name == "kill-all" {
			p.open = max(p.open, f.at+election+time.Second)
		}
		// The last is over soon after the end, so that a seed does not take for ever.
		f.at = max(-ahead, min(f.at, p.open+time.Second-f.last))
		all = append(all, f)
	}
	if r.IntN(25) == 0 {
		all = append(all, fault{name: "no-database", weather: cut, at: between(r, 0, 3000), last: between(r, 20_000, 60_000)})
	}
	slices.SortStableFunc(all, func(a, b fault) int { return int(a.at - b.at) })
	return all
}

// inject the faults of a sale that starts at start; it returns when the last is over.
func (s *trial) inject(ctx context.Context) {
	var group sync.WaitGroup
	for _, f := range s.plan.faults {
		group.Go(func() {
			if !wait(ctx, time.Until(s.start.Add(f.at))) {
				return
			}
			s.note("fault %v", f)
			end := s.w.fail(ctx, s, f)
			wait(ctx, f.last)
			if err := end(); err != nil {
				s.note("ending %v: %v", f, err)
			}
		})
	}
	group.Wait()
}

// wait for a time; false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// fail begins a fault and returns what ends it.
func (w *world) fail(ctx context.Context, s *trial, f fault) (end func() error) {
	killed := func(p *pod) func() error {
		p.Kill()
		return func() error { return p.start(f.skew) }
	}
	paused := func(p interface {
		Pause()
		Resume()
	}) func() error {
		p.Pause()
		return func() error { p.Resume(); return nil }
	}
	under := func(ways ...*proxy) func() error {
		for _, way := range ways {
			way.set(f.weather)
		}
		return func() error {
			for _, way := range ways {
				way.set(fair)
			}
			return nil
		}
	}
	switch f.name {
	case "kill-flash", "skew":
		return killed(w.flash[f.index])
	case "kill-worker":
		return killed(w.workers[f.index])
	case "kill-standard":
		return killed(w.standard)
	case "pause-flash", "hiccup-flash":
		return paused(w.flash[f.index])
	case "pause-worker":
		return paused(w.workers[f.index])
	case "stall-nats":
		return paused(w.cluster.Nodes[f.index])
	case "kill-leader":
		return w.killServer(w.leader(ctx, s))
	case "kill-nats":
		return w.killServer(f.index)
	case "no-nats":
		return under(w.flash[f.index].nats...)
	case "no-nats-worker":
		return under(w.workers[f.index].nats...)
	case "no-peers":
		return under(w.flash[f.index].peers)
	case "no-database":
		return under(w.db.way)
	case "kill-database":
		w.db.kill()
		return func() error { return w.db.heal(ctx) }
	default:
		return w.killAll(ctx)
	}
}

func (w *world) killServer(i int) func() error {
	n := w.cluster.Nodes[i]
	n.Kill()
	return func() error { return n.Start() }
}

// leader of the sale's first stream; the first server if nobody says.
func (w *world) leader(ctx context.Context, s *trial) int {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	stream, err := w.js.Stream(ctx, s.promo.GetStreams()[0])
	if err != nil || stream.CachedInfo().Cluster == nil {
		return 0
	}
	for i, n := range w.cluster.Nodes {
		if n.Name == strings.TrimSpace(stream.CachedInfo().Cluster.Leader) {
			return i
		}
	}
	return 0
}

// killAll kills every process with -9, and starts them all again.
func (w *world) killAll(ctx context.Context) func() error {
	var group sync.WaitGroup
	for _, p := range w.all() {
		group.Go(p.Kill)
	}
	for _, n := range w.cluster.Nodes {
		group.Go(n.Kill)
	}
	group.Go(w.db.kill)
	group.Wait()
	return func() error { return w.heal(ctx) }
}
