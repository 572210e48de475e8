// Package search is how an owner whose stock shard of an item is empty looks for stock in the
// item's other shards, and how it proves that there is none. It is pure: no clock, no input or
// output, no goroutine. Its user asks [Search.Next] what to do, does it, and reports how a question
// went by [Search.Answered].
//
// What holds: [SoldOut] is said only if there was a moment, SoldOut.At, at which all shards
// together had no more than SoldOut.Left units.
//
// The proof takes two rounds of questions to all other shards. A shard counts its inflows: how
// often stock came into it, by whatever way. In both rounds each shard must be empty, and in the
// second one it must have as many inflows as in the first. A shard that was empty before the moment
// between the rounds, and empty after it, and that got nothing in between, was empty at that
// moment. It is the same moment for all shards, so that stock cannot have moved about between them
// unseen. The asker's own shard, if it got nothing since the search began, had no more at that
// moment than it had at the beginning.
//
// A shard that does not say for certain that it is empty proves nothing. It is asked again in the
// next pass, after a delay that grows. A search that needs too many passes gives up.
package search

import (
	"cmp"
	"slices"
	"time"
)

const (
	// delayUnit is what the waits are made of: the one after pass n is delayUnit times 2^n, before
	// jitter.
	delayUnit = 5 * time.Millisecond
	// delayMax is the longest wait, before jitter.
	delayMax = 200 * time.Millisecond
	// passesMax is how many passes may end without an answer from every shard; one more, and the
	// search gives up.
	passesMax = 16
)

// Shard is the asker's own stock shard of the item.
type Shard struct {
	// Inflows counts how often stock came into the shard: by transfer, top-up or release.
	Inflows uint64
	// Available is how many units the shard has. It may be more than 0, and too few for an order of
	// many units.
	Available int64
}

// Outcome of a question for stock.
type Outcome int

const (
	// Moved says that the shard gave stock to the asker.
	Moved Outcome = iota + 1
	// Empty says that the shard was empty at a moment after the question was put.
	Empty
	// Busy says that the shard moved nothing and tells nothing about its stock, because its owner
	// was not found, has no time or is searching itself.
	Busy
	// Unknown says that the asker must read its own log before it asks on: whether stock moved is
	// not known, or the asker was behind its log. It tells nothing about the shard's stock.
	Unknown
)

// Answer to a question for stock.
type Answer struct {
	Outcome Outcome
	// Inflows of the shard that was asked, if it is [Empty].
	Inflows uint64
}

// Step is what to do next: one of [Ask], [Wait], [SoldOut], [StockCame], [GiveUp].
type Step interface{ isStep() }

// Ask the owner of Partition for stock, and report its answer by [Search.Answered].
type Ask struct {
	Partition int32
	// Need is how many units the asker lacks, at least 1.
	Need int64
}

// Wait until a time, and then ask [Search.Next] again. Other shards' owners may be waiting for the
// asker meanwhile.
type Wait struct{ Until time.Time }

// SoldOut is a proof, and ends the search: at the moment At, all shards together had no more than
// Left units.
type SoldOut struct {
	Left int64
	At   time.Time
}

// StockCame ends the search: the asker's shard got stock, by this search or in another way since it
// began.
type StockCame struct{}

// GiveUp ends the search: too many passes met shards that did not answer.
type GiveUp struct{}

func (Ask) isStep()       {}
func (Wait) isStep()      {}
func (SoldOut) isStep()   {}
func (StockCame) isStep() {}
func (GiveUp) isStep()    {}

// round is how far the proof has got.
type round int

const (
	// notBegun: nothing was asked, or the proof failed and begins again.
	notBegun round = iota
	first
	second
)

// Search for one item's stock. Not safe for concurrent use.
type Search struct {
	sku    string
	shards func() []int32
	jitter func(time.Duration) time.Duration

	round round
	// own is the asker's shard when the first round began.
	own Shard
	// inflows has what each shard said in the first round.
	inflows map[int32]uint64
	// betweenRounds is a moment after the last answer of the first round and before the first
	// question of the second one.
	betweenRounds time.Time

	// toAsk are the shards that were not asked in this pass yet; the first one is being asked.
	// askLater are those that did not answer, and are asked again in the next pass of the same
	// round.
	toAsk, askLater []int32
	// passes is how many of them ended without an answer from every shard.
	passes int
	// waitUntil is when the next pass may begin.
	waitUntil time.Time
	// asked says that the question to the first of toAsk was put, and has no answer yet.
	asked     bool
	stockCame bool
}

// New begins a search. shards is called at the begin of each round: the partitions that have the
// item's other shards, in the order in which to ask them, see [Order]. jitter spreads a delay at
// random around itself.
func New(sku string, shards func() []int32, jitter func(time.Duration) time.Duration) *Search {
	return &Search{sku: sku, shards: shards, jitter: jitter}
}

// SKU of the item that is searched for.
func (s *Search) SKU() string { return s.sku }

// Next says what to do at a time. own is the asker's shard as it is now, need how many units it
// lacks. After [Ask], the same question is asked for until it was answered; what ends the search,
// ends it for good.
func (s *Search) Next(now time.Time, own Shard, need int64) Step {
	switch {
	case s.stockCame:
		return StockCame{}
	case s.passes > passesMax:
		return GiveUp{}
	case now.Before(s.waitUntil):
		return Wait{Until: s.waitUntil}
	}
	if s.round == notBegun {
		s.round, s.own, s.inflows, s.toAsk = first, own, map[int32]uint64{}, s.shards()
	}
	if len(s.toAsk) == 0 && s.round == first {
		s.round, s.betweenRounds, s.toAsk = second, now, s.shards()
	}
	if len(s.toAsk) > 0 {
		s.asked = true
		return Ask{Partition: s.toAsk[0], Need: need}
	}
	if own.Inflows != s.own.Inflows {
		return StockCame{}
	}
	return SoldOut{Left: s.own.Available, At: s.betweenRounds}
}

// Answered reports how the question went that [Search.Next] last said to ask, at the time at which
// that was known. An answer to no question is ignored.
func (s *Search) Answered(now time.Time, answer Answer) {
	if !s.asked {
		return
	}
	partition := s.toAsk[0]
	s.asked, s.toAsk = false, s.toAsk[1:]
	switch answer.Outcome {
	case Moved:
		s.stockCame = true
	case Empty:
		s.foundEmpty(now, partition, answer.Inflows)
	case Unknown:
		s.askLater = append(s.askLater, partition)
		s.endPass(now)
	default:
		// Busy. What else there may be proves nothing either.
		s.askLater = append(s.askLater, partition)
		s.endFullPass(now)
	}
}

func (s *Search) foundEmpty(now time.Time, partition int32, inflows uint64) {
	if s.round == second {
		if before, ok := s.inflows[partition]; !ok || before != inflows {
			// Stock came and went between the rounds, and may be in a shard that was asked before.
			s.round, s.toAsk, s.askLater = notBegun, nil, nil
			s.endPass(now)
			return
		}
	}
	s.inflows[partition] = inflows
	s.endFullPass(now)
}

// endFullPass ends the pass if all shards were asked and some of them did not answer.
func (s *Search) endFullPass(now time.Time) {
	if len(s.toAsk) == 0 && len(s.askLater) > 0 {
		s.endPass(now)
	}
}

// endPass has the next pass begin after a delay.
func (s *Search) endPass(now time.Time) {
	s.passes++
	s.toAsk, s.askLater = append(s.toAsk, s.askLater...), nil
	if s.passes <= passesMax {
		s.waitUntil = now.Add(s.jitter(min(delayUnit<<min(s.passes, 10), delayMax)))
	}
}

// Order is the order in which partition self asks the other ones of its stream, which are count
// (self among them) from first on: the fullest first as far as is known, then those of which
// nothing is known, then the empty ones; among equals beginning after self, so that askers spread.
// level is the last known level of a partition's shard in units, -1 if it is not known. Levels are
// hints: a wrong one makes a search longer, and proves nothing.
func Order(first, count, self int32, level func(partition int32) int64) []int32 {
	others := make([]int32, 0, max(0, count-1))
	for i := int32(1); i < count; i++ {
		others = append(others, first+(self-first+i)%count)
	}
	if level == nil {
		return others
	}
	rank := make(map[int32]int64, len(others))
	for _, n := range others {
		// Twice the level, and 1 for an unknown one: more than an empty shard's, less than any
		// other's.
		if rank[n] = 2 * level(n); rank[n] < 0 {
			rank[n] = 1
		}
	}
	slices.SortStableFunc(others, func(a, b int32) int { return cmp.Compare(rank[b], rank[a]) })
	return others
}
