package search_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/flash/owner/search"
)

// began is when each search of the tables begins. Every question takes a millisecond.
func began() time.Time { return time.UnixMilli(1_800_000_000_000).UTC() }

// at is a time after began.
func at(ms int) time.Time { return began().Add(time.Duration(ms) * time.Millisecond) }

// exchange is what a search says next, and what it is told then.
type exchange struct {
	// pause is how much later than the exchange before it the search is asked, in ms.
	pause int
	// own is the asker's shard from here on.
	own  *search.Shard
	want search.Step
	// answer to the question that want asks; none: nobody answers yet.
	answer search.Answer
}

func ask(partition int32, answer search.Answer) exchange {
	return exchange{want: search.Ask{Partition: partition, Need: 3}, answer: answer}
}

func empty(inflows uint64) search.Answer {
	return search.Answer{Outcome: search.Empty, Inflows: inflows}
}

func outcome(o search.Outcome) search.Answer { return search.Answer{Outcome: o} }

// waits is a search that waits, and is asked again when the wait is over.
func waits(ms int, next exchange) []exchange {
	next.pause = ms
	return []exchange{{want: search.Wait{}}, next}
}

// same is the delay as it is, so that the tables can name times.
func same(d time.Duration) time.Duration { return d }

// story is a search of partition 0, which lacks 3 units.
type story struct {
	name   string
	others []int32
	own    search.Shard
	script []exchange
}

func run(t *testing.T, stories []story) {
	for _, test := range stories {
		t.Run(test.name, func(t *testing.T) {
			s := search.New("a", func() []int32 { return slices.Clone(test.others) }, same)
			play(t, s, test.own, test.script)
		})
	}
}

// Every other shard says at once what it has.
func TestSearch(t *testing.T) {
	run(t, []story{
		{
			"two rounds of empty shards prove it", []int32{1, 2}, search.Shard{Inflows: 5, Available: 2},
			[]exchange{
				ask(1, empty(7)), ask(2, empty(0)), ask(1, empty(7)), ask(2, empty(0)),
				{want: search.SoldOut{Left: 2, At: at(2)}},
				{want: search.SoldOut{Left: 2, At: at(2)}},
			},
		},
		{
			"one shard is all there is", nil, search.Shard{Available: 1},
			[]exchange{{want: search.SoldOut{Left: 1, At: at(0)}}},
		},
		{
			"the first one that is asked gives stock", []int32{1, 2}, search.Shard{},
			[]exchange{ask(1, outcome(search.Moved)), {want: search.StockCame{}}, {want: search.StockCame{}}},
		},
		{
			"a later one gives stock", []int32{1, 2}, search.Shard{},
			[]exchange{ask(1, empty(0)), ask(2, outcome(search.Moved)), {want: search.StockCame{}}},
		},
		{
			"one gives stock in the second round", []int32{1, 2}, search.Shard{},
			[]exchange{ask(1, empty(0)), ask(2, empty(0)), ask(1, outcome(search.Moved)), {want: search.StockCame{}}},
		},
		{
			"a question is asked for until it is answered", []int32{1, 2}, search.Shard{},
			[]exchange{
				ask(1, search.Answer{}), ask(1, search.Answer{}), ask(1, empty(0)), ask(2, search.Answer{}), ask(2, empty(0)),
			},
		},
		{
			"stock that came between the rounds begins the proof again", []int32{1, 2}, search.Shard{Available: 1},
			slices.Concat([]exchange{ask(1, empty(0)), ask(2, empty(0)), ask(1, empty(1))}, waits(10, ask(1, empty(1))),
				[]exchange{ask(2, empty(0)), ask(1, empty(1)), ask(2, empty(0)), {want: search.SoldOut{Left: 1, At: at(15)}}}),
		},
		{
			"stock that came into the last one between the rounds, too", []int32{1, 2}, search.Shard{},
			slices.Concat([]exchange{ask(1, empty(0)), ask(2, empty(8)), ask(1, empty(0)), ask(2, empty(9))},
				waits(10, ask(1, empty(0))), []exchange{ask(2, outcome(search.Moved)), {want: search.StockCame{}}}),
		},
	})
}

// Some shards do not say what they have.
func TestSearchAmongBusyShards(t *testing.T) {
	run(t, []story{
		{
			"busy ones are asked again later, empty ones are not", []int32{1, 2, 3}, search.Shard{},
			slices.Concat([]exchange{ask(1, outcome(search.Busy)), ask(2, empty(0)), ask(3, outcome(search.Busy))},
				waits(10, ask(1, empty(0))), []exchange{ask(3, empty(0)), ask(1, empty(0))}),
		},
		{
			"a busy one gives stock later", []int32{1, 2}, search.Shard{},
			slices.Concat([]exchange{ask(1, outcome(search.Busy)), ask(2, empty(0))}, waits(10, ask(1, outcome(search.Moved))),
				[]exchange{{want: search.StockCame{}}}),
		},
		{
			"one that is busy in the second round is compared with the first", []int32{1, 2}, search.Shard{},
			slices.Concat([]exchange{ask(1, empty(4)), ask(2, empty(0)), ask(1, outcome(search.Busy)), ask(2, empty(0))},
				waits(10, ask(1, empty(4))), []exchange{{want: search.SoldOut{At: at(2)}}}),
		},
		{
			"and begins the proof again if it got stock", []int32{1, 2}, search.Shard{},
			slices.Concat([]exchange{ask(1, empty(4)), ask(2, empty(0)), ask(1, outcome(search.Busy)), ask(2, empty(0))},
				waits(10, ask(1, empty(5))), waits(20, ask(1, empty(5)))),
		},
		{
			"an outcome that there is not proves nothing", []int32{1}, search.Shard{},
			slices.Concat([]exchange{ask(1, outcome(99))}, waits(10, ask(1, empty(0)))),
		},
		{
			"a question without an answer ends the pass at once; that shard comes last", []int32{1, 2}, search.Shard{},
			slices.Concat([]exchange{ask(1, outcome(search.Unknown))}, waits(10, ask(2, empty(0))),
				[]exchange{ask(1, empty(0)), ask(1, empty(0)), ask(2, empty(0)), {want: search.SoldOut{At: at(13)}}}),
		},
	})
}

func TestTheOwnShardIsAPartOfTheProof(t *testing.T) {
	run(t, []story{
		{
			"the own shard got stock", []int32{1}, search.Shard{Inflows: 1},
			[]exchange{
				ask(1, empty(0)),
				{own: &search.Shard{Inflows: 2, Available: 4}, want: search.Ask{Partition: 1, Need: 3}, answer: empty(0)},
				{want: search.StockCame{}},
			},
		},
		{
			"what the own shard lost meanwhile was there at the moment that is proved", []int32{1}, search.Shard{Available: 2},
			[]exchange{
				ask(1, empty(0)),
				{own: &search.Shard{}, want: search.Ask{Partition: 1, Need: 3}, answer: empty(0)},
				{want: search.SoldOut{Left: 2, At: at(1)}},
			},
		},
		{
			"a proof that begins again begins with the own shard of then", []int32{1}, search.Shard{Inflows: 1, Available: 2},
			slices.Concat(
				[]exchange{ask(1, empty(0)), ask(1, empty(1))},
				[]exchange{
					{own: &search.Shard{Inflows: 2, Available: 1}, want: search.Wait{}},
					{pause: 10, want: search.Ask{Partition: 1, Need: 3}, answer: empty(1)},
				},
				[]exchange{ask(1, empty(1)), {want: search.SoldOut{Left: 1, At: at(13)}}},
			),
		},
	})
}

// play the script. The time until which the search waits is that of the next exchange.
func play(t *testing.T, s *search.Search, own search.Shard, script []exchange) {
	t.Helper()
	now := began()
	for i, e := range script {
		now = now.Add(time.Duration(e.pause) * time.Millisecond)
		if e.own != nil {
			own = *e.own
		}
		if e.pause > 0 {
			if diff := cmp.Diff(search.Step(search.Wait{Until: now}), s.Next(now.Add(-1), own, 3)); diff != "" {
				t.Fatalf("just before exchange %d (-want +got):\n%s", i, diff)
			}
		}
		got := s.Next(now, own, 3)
		if _, waits := e.want.(search.Wait); waits {
			if _, ok := got.(search.Wait); !ok {
				t.Fatalf("exchange %d: the search says %#v, want it to wait", i, got)
			}
			continue
		}
		if diff := cmp.Diff(e.want, got); diff != "" {
			t.Fatalf("exchange %d (-want +got):\n%s", i, diff)
		}
		if _, asks := e.want.(search.Ask); asks && e.answer != (search.Answer{}) {
			now = now.Add(time.Millisecond)
			s.Answered(now, e.answer)
		}
	}
}

func TestWaitsGetLongerUntilTheSearchGivesUp(t *testing.T) {
	restarts := func(n int) search.Answer { return empty(uint64(n)) }
	tests := []struct {
		name string
		// answer to the n-th question that ends a pass.
		answer func(n int) search.Answer
	}{
		{"busy", func(int) search.Answer { return outcome(search.Busy) }},
		{"unknown", func(int) search.Answer { return outcome(search.Unknown) }},
		{"stock between all rounds", restarts},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := search.New("a", func() []int32 { return []int32{1} }, same)
			now := began()
			var waits []int64
			for n := range 1000 {
				switch step := s.Next(now, search.Shard{}, 1).(type) {
				case search.Ask:
					s.Answered(now, test.answer(n))
				case search.Wait:
					waits = append(waits, step.Until.Sub(now).Milliseconds())
					now = step.Until
				case search.GiveUp:
					want := []int64{10, 20, 40, 80, 160, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200}
					if diff := cmp.Diff(want, waits); diff != "" {
						t.Errorf("waits in ms (-want +got):\n%s", diff)
					}
					if again := s.Next(now, search.Shard{}, 1); again != step {
						t.Errorf("the search that gave up says %#v", again)
					}
					return
				default:
					t.Fatalf("the search says %#v", step)
				}
			}
			t.Fatal("the search does not give up")
		})
	}
}

func TestDelaysAreJittered(t *testing.T) {
	s := search.New("a", func() []int32 { return []int32{1} }, func(d time.Duration) time.Duration { return d / 2 })
	s.Next(began(), search.Shard{}, 1)
	s.Answered(began(), outcome(search.Busy))
	if diff := cmp.Diff(search.Step(search.Wait{Until: at(5)}), s.Next(began(), search.Shard{}, 1)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnAnswerToNoQuestionIsIgnored(t *testing.T) {
	s := search.New("a", func() []int32 { return []int32{1, 2} }, same)
	s.Answered(began(), outcome(search.Moved))
	play(t, s, search.Shard{}, []exchange{ask(1, empty(0))})
	s.Answered(at(1), empty(0))
	play(t, s, search.Shard{}, []exchange{ask(2, empty(0)), ask(1, empty(0))})
}

func TestTheOrderIsAskedForInEachRound(t *testing.T) {
	orders := [][]int32{{1, 2}, {2, 1}}
	s := search.New("a", func() []int32 {
		order := orders[0]
		orders = orders[1:]
		return order
	}, same)
	play(t, s, search.Shard{}, []exchange{
		ask(1, empty(0)), ask(2, empty(0)), ask(2, empty(0)), ask(1, empty(0)), {want: search.SoldOut{At: at(2)}},
	})
}

func TestOrder(t *testing.T) {
	tests := []struct {
		name               string
		first, count, self int32
		levels             map[int32]int64
		want               []int32
	}{
		{"nothing known: from the own one on", 0, 4, 1, nil, []int32{2, 3, 0}},
		{"of the second stream", 4, 4, 6, nil, []int32{7, 4, 5}},
		{"the only one", 3, 1, 3, nil, []int32{}},
		{"the fullest first", 0, 4, 0, map[int32]int64{1: 5, 2: 9, 3: 7}, []int32{2, 3, 1}},
		{"equals from the own one on", 0, 4, 2, map[int32]int64{0: 5, 1: 5, 3: 5}, []int32{3, 0, 1}},
		{"unknown ones before empty ones", 0, 5, 0, map[int32]int64{1: 0, 2: -1, 3: 1, 4: -1}, []int32{3, 2, 4, 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var level func(int32) int64
			if test.levels != nil {
				level = func(n int32) int64 { return test.levels[n] }
			}
			if diff := cmp.Diff(test.want, search.Order(test.first, test.count, test.self, level)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
