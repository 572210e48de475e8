package owner_test

import (
	"context"
	"sync"
	"time"
)

// members is who owns what. Pods learn of a change at different times: for at most lag, two that
// both hear the news and have a lease believe that a partition is theirs. One that hears nothing
// may believe it for ever, but by the time another takes over it has no lease any more.
type members struct {
	w   *world
	lag time.Duration

	mu    sync.Mutex
	facts []fact
}

type fact struct {
	owner, version int
	// from is when the owner may begin.
	from time.Time
}

func newMembers(w *world, lag time.Duration) *members {
	m := &members{w: w, lag: lag, facts: make([]fact, w.partitions)}
	for n := range m.facts {
		m.facts[n] = fact{owner: n % len(w.pods), version: 1}
	}
	return m
}

// move gives a partition to a pod that hears of it.
func (m *members) move(n int32, to int) {
	now := time.Now()
	m.mu.Lock()
	next := fact{owner: to, version: m.facts[n].version + 1, from: now}
	var hearing []*pod
	for i, p := range m.w.pods {
		switch {
		case p.hears(now):
			hearing = append(hearing, p)
		case i != to && p.alive() != nil:
			p.mu.Lock()
			if p.lease.After(next.from) {
				next.from = p.lease
			}
			p.mu.Unlock()
		}
	}
	m.facts[n] = next
	m.w.note("partition %d moves to %s from %s on", n, m.w.pods[to].name, m.w.since(next.from))
	m.mu.Unlock()
	// The others first: with no lag at all, nobody believes in two owners.
	for _, p := range hearing {
		if p.index != to {
			if m.lag == 0 {
				p.learn(n, next.owner, next.version)
			} else {
				time.AfterFunc(p.dice.between(0, m.lag), func() { p.learn(n, next.owner, next.version) })
			}
		}
	}
	m.inform(m.w.pods[to], n)
}

// inform a pod of the newest about a partition, unless it does not hear. It hears of its own only
// when it may begin.
func (m *members) inform(p *pod, n int32) {
	now := time.Now()
	if !p.hears(now) {
		return
	}
	m.mu.Lock()
	f := m.facts[n]
	m.mu.Unlock()
	if f.owner == p.index && now.Before(f.from) {
		time.AfterFunc(f.from.Sub(now), func() { m.inform(p, n) })
		return
	}
	p.learn(n, f.owner, f.version)
}

func (m *members) informAll(p *pod) {
	for n := range m.w.partitions {
		m.inform(p, n)
	}
}

// storm moves partitions and makes pods deaf, paused, killed and started again until ctx ends; then
// all is well again.
func (m *members) storm(ctx context.Context, d *dice) {
	for {
		select {
		case <-ctx.Done():
			m.heal()
			return
		case <-time.After(d.between(20*time.Millisecond, 3*time.Second)):
		}
		p := m.w.pods[d.n(len(m.w.pods))]
		switch d.n(6) {
		case 0, 1, 2:
			if p.hears(time.Now()) {
				m.move(int32(d.n(int(m.w.partitions))), p.index)
			}
		case 3:
			m.away(p, d.between(time.Millisecond, 3*memberTTL), false)
		case 4:
			m.away(p, d.between(time.Millisecond, 3*memberTTL), true)
		default:
			if p.alive() != nil {
				p.stop()
			} else {
				p.start()
			}
		}
	}
}

// away makes a pod deaf, or paused. When it is back it hears what it missed.
func (m *members) away(p *pod, d time.Duration, paused bool) {
	if !p.hears(time.Now()) {
		return
	}
	p.mu.Lock()
	process := p.process
	m.w.note("%s hears nothing for %s, paused: %t", p.name, d, paused)
	if paused {
		p.paused = time.Now().Add(d)
	} else {
		p.deaf = time.Now().Add(d)
	}
	p.mu.Unlock()
	time.AfterFunc(d, func() {
		if p.alive() == process {
			m.informAll(p)
		}
	})
}

func (m *members) heal() {
	for _, p := range m.w.pods {
		if p.alive() == nil {
			p.start()
			continue
		}
		p.mu.Lock()
		p.deaf, p.paused = time.Time{}, time.Time{}
		p.mu.Unlock()
		m.informAll(p)
	}
}
