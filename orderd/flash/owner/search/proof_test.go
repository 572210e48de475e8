package search_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/flash/owner/search"
)

// stock is a model of an item's shards, in which stock moves about while partition 0 searches.
type stock struct {
	now    time.Time
	shards []search.Shard
	// totals are how many units all shards had together, from a time on each; the last one is that
	// of now.
	totals []total
}

type total struct {
	from  time.Time
	units int64
}

// pass time, so that each event has a moment of its own, and remember what there is now.
func (m *stock) pass(d time.Duration) {
	m.now = m.now.Add(d)
	var units int64
	for _, shard := range m.shards {
		units += shard.Available
	}
	m.totals = append(m.totals, total{m.now, units})
}

// totalAt is how many units there were at a time.
func (m *stock) totalAt(at time.Time) int64 {
	var units int64
	for _, t := range m.totals {
		if t.from.After(at) {
			break
		}
		units = t.units
	}
	return units
}

func (m *stock) add(n int, units int64) {
	m.shards[n].Available += units
	m.shards[n].Inflows++
}

// meanwhile is what others do: they sell, release and top up, and move stock from shard to shard.
func (m *stock) meanwhile(t *rapid.T) {
	shard := rapid.IntRange(0, len(m.shards)-1)
	for range rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2}).Draw(t, "events") {
		n := shard.Draw(t, "shard")
		switch rapid.SampledFrom([]string{"move", "move", "move", "sell", "release"}).Draw(t, "event") {
		case "move":
			if to := shard.Draw(t, "to"); to != n && m.shards[n].Available > 0 {
				units := rapid.Int64Range(1, m.shards[n].Available).Draw(t, "units")
				m.shards[n].Available -= units
				m.add(to, units)
			}
		case "sell":
			m.shards[n].Available -= rapid.Int64Range(0, m.shards[n].Available).Draw(t, "units")
		case "release":
			m.add(n, 1)
		}
		m.pass(time.Microsecond)
	}
}

// answer is what a shard's owner says that was asked. It may be away, or its answer get lost.
func (m *stock) answer(t *rapid.T, n int32) search.Answer {
	switch rapid.SampledFrom([]string{"answers", "answers", "answers", "answers", "busy", "lost"}).Draw(t, "peer") {
	case "busy":
		return search.Answer{Outcome: search.Busy}
	case "lost":
		return search.Answer{Outcome: search.Unknown}
	}
	shard := &m.shards[n]
	if shard.Available == 0 {
		return search.Answer{Outcome: search.Empty, Inflows: shard.Inflows}
	}
	m.add(0, shard.Available)
	shard.Available = 0
	return search.Answer{Outcome: search.Moved}
}

// search until it ends: with a proof, with stock, or by giving up.
func (m *stock) search(t *rapid.T) (soldOut, found bool) {
	others := make([]int32, len(m.shards)-1)
	for i := range others {
		others[i] = int32(i + 1)
	}
	order := func() []int32 { return rapid.Permutation(others).Draw(t, "order") }
	s := search.New("a", order, same)
	for {
		m.meanwhile(t)
		m.pass(time.Microsecond)
		switch step := s.Next(m.now, m.shards[0], 1).(type) {
		case search.Ask:
			m.pass(time.Microsecond)
			m.meanwhile(t)
			answer := m.answer(t, step.Partition)
			m.pass(time.Microsecond)
			m.meanwhile(t)
			s.Answered(m.now, answer)
		case search.Wait:
			m.pass(step.Until.Sub(m.now))
		case search.SoldOut:
			if units := m.totalAt(step.At); units > step.Left {
				t.Fatalf("sold out at %s with %d left, but there were %d units", step.At, step.Left, units)
			}
			return true, false
		case search.StockCame:
			return false, true
		case search.GiveUp:
			return false, false
		}
	}
}

// Whatever moves where meanwhile, and whoever does not answer: when an item is said to be sold out,
// there was a moment at which all of its shards together had no more than what is said to be left.
// In particular it is not said while a unit was available throughout.
func TestSoldOutIsNeverSaidWhileThereIsStock(t *testing.T) {
	proofs, finds := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 8 {
			m := &stock{now: began(), shards: make([]search.Shard, rapid.IntRange(2, 4).Draw(t, "shards"))}
			stocked := rapid.IntRange(0, len(m.shards)-1).Draw(t, "stocked")
			m.shards[stocked].Available = rapid.Int64Range(0, 2).Draw(t, "stock")
			m.pass(0)
			soldOut, found := m.search(t)
			if soldOut {
				proofs++
			}
			if found {
				finds++
			}
		}
	})
	// Neither end may be so rare that the property says nothing.
	if proofs == 0 || finds == 0 {
		t.Errorf("%d proofs and %d searches that found stock", proofs, finds)
	}
}
