package levels_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/levels"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

const (
	uid = "00000000-0000-4000-8000-000000000001"
	// podClock is how far the senders' clocks are off.
	podClock = 7 * time.Hour
)

// world is the stock shards of one item, what their owners broadcast, and when each shard had how
// much.
type world struct {
	now       time.Time
	sequence  []uint64
	available []int64
	// history of each shard: from a moment on, that much.
	history [][]change
	senders []*levels.Sender
	// proofs that each owner has.
	proofs []time.Time
	left   []int64
	// network has every message that was sent, to be delivered any number of times.
	network []*flashv1.Levels
	table   *levels.Table
	// skew of the pod that has the table.
	skew time.Duration
	// stepped is how far the cluster's clock went back.
	stepped time.Duration
}

type change struct {
	at        time.Time
	available int64
}

func newWorld(partitions int) *world {
	w := &world{
		now: time.UnixMilli(1_800_000_000_000), sequence: make([]uint64, partitions), available: make([]int64, partitions),
		history: make([][]change, partitions), proofs: make([]time.Time, partitions), left: make([]int64, partitions),
		table: levels.NewTable(),
	}
	for n := range partitions {
		w.senders = append(w.senders, levels.NewSender())
		w.sequence[n] = 1
		w.history[n] = []change{{w.now, 0}}
	}
	w.table.SetPromotions(map[string]*promotion.Promotion{uid: promotion.New(aPromotion(int32(partitions)))})
	return w
}

func aPromotion(partitions int32) *flashv1.Promotion {
	return &flashv1.Promotion{
		Uid: uid, Name: "sale", Partitions: partitions, Streams: []string{"s"}, Open: true,
		Items: []*flashv1.PromotedItem{{Sku: "a"}, {Sku: "b"}},
	}
}

func (w *world) set(n int, available int64) {
	w.available[n] = available
	w.sequence[n]++
	w.history[n] = append(w.history[n], change{w.now, available})
}

func (w *world) total() (total int64) {
	for _, available := range w.available {
		total += available
	}
	return total
}

func (w *world) prove(n int) { w.proofs[n], w.left[n] = w.now, w.total() }

// broadcast is the tick of the pod that owns a partition.
func (w *world) broadcast(n int) []*flashv1.Levels {
	reading := levels.Reading{Partition: int32(n), Levels: owner.Levels{
		Sequence: w.sequence[n], Items: []owner.Level{{SKU: "a", Available: w.available[n]}},
	}}
	if age := w.now.Sub(w.proofs[n]); age < levels.Fresh {
		reading.SoldOut = []owner.SoldOut{{SKU: "a", Left: w.left[n], At: w.proofs[n].Add(podClock + w.stepped)}}
	}
	return w.senders[n].Messages(fmt.Sprint("pod-", n), w.now, w.now.Add(podClock+w.stepped), []levels.Reading{reading})
}

func (w *world) observe(message *flashv1.Levels) { w.table.Observe(uid, message, w.now.Add(w.skew)) }

// hadMore says whether a shard had more than left for the whole of the last d.
func (w *world) hadMore(left int64, d time.Duration) bool {
	since := w.now.Add(-d)
	for _, history := range w.history {
		more := !history[0].at.After(since)
		for i, c := range history {
			ended := w.now.Add(time.Nanosecond)
			if i+1 < len(history) {
				ended = history[i+1].at
			}
			if ended.After(since) && c.available <= left {
				more = false
			}
		}
		if more {
			return true
		}
	}
	return false
}

func TestAMarkOutlivesStockByASecondAtMost(t *testing.T) {
	marked := 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.IntRange(1, 4).Draw(t, "partitions"))
		w.skew = time.Duration(rapid.Int64Range(-20, 20).Draw(t, "skew")) * time.Millisecond
		partition := rapid.IntRange(0, len(w.available)-1)
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.Int64Range(1, 700).Draw(t, "ms")) * time.Millisecond)
			},
			"stock changes": func(t *rapid.T) { w.set(partition.Draw(t, "n"), rapid.Int64Range(0, 30).Draw(t, "available")) },
			"all is sold": func(*rapid.T) {
				for n := range w.available {
					w.set(n, 0)
				}
			},
			"stock moves": func(t *rapid.T) {
				from, to := partition.Draw(t, "from"), partition.Draw(t, "to")
				if from != to {
					w.set(to, w.available[to]+w.available[from])
					w.set(from, 0)
				}
			},
			"an owner proves": func(t *rapid.T) { w.prove(partition.Draw(t, "n")) },
			"broadcast":       func(t *rapid.T) { w.network = append(w.network, w.broadcast(partition.Draw(t, "n"))...) },
			"broadcast and delivery by all": func(*rapid.T) {
				for n := range w.available {
					for _, message := range w.broadcast(n) {
						w.network = append(w.network, message)
						w.observe(message)
					}
				}
			},
			"delivery of any": func(t *rapid.T) {
				if len(w.network) > 0 {
					w.observe(rapid.SampledFrom(w.network).Draw(t, "message"))
				}
			},
			"": func(t *rapid.T) {
				left, ok := w.table.Mark(uid, "a", w.now.Add(w.skew))
				if !ok {
					return
				}
				marked++
				// The clocks' difference comes on top of the second.
				if w.hadMore(left, levels.Fresh+w.skew.Abs()+time.Millisecond) {
					t.Fatalf("marked with %d left, although a shard had more for a second: %v", left, w.available)
				}
			},
		})
	})
	if marked == 0 {
		t.Error("no item was ever marked")
	}
}

// everyone broadcasts, and everything arrives, for a time.
func (w *world) pass(d time.Duration, each func()) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(levels.Every) {
		for n := range w.available {
			for _, message := range w.broadcast(n) {
				w.observe(message)
			}
		}
		each()
	}
}

func TestAMarkLastsForAsLongAsAllShardsSayTheyAreEmpty(t *testing.T) {
	w := newWorld(8)
	marked := func() bool {
		_, ok := w.table.Mark(uid, "a", w.now)
		return ok
	}
	w.pass(2*time.Second, func() {
		if marked() {
			t.Fatal("marked without a proof: all levels are 0, but not at one moment")
		}
	})
	w.prove(3)
	w.pass(time.Minute, func() {
		if !marked() {
			t.Fatalf("the mark is gone at %s", w.now)
		}
	})
	w.set(5, 1)
	w.pass(levels.Every, func() {})
	if marked() {
		t.Error("still marked although a shard says that it has stock")
	}
	if got := w.table.Level(uid, 5, "a"); got != 1 {
		t.Errorf("level %d, want 1", got)
	}
	w.set(5, 0)
	w.pass(3*time.Second, func() {
		if marked() {
			t.Fatal("marked again without a new proof")
		}
	})
	w.prove(0)
	w.pass(levels.Every, func() {})
	w.now = w.now.Add(levels.Fresh)
	if marked() {
		t.Error("still marked although nobody said anything for a second")
	}
	w.pass(time.Second, func() {
		if marked() {
			t.Fatal("marked again without a new proof")
		}
	})
}

// A unit comes back, is said to be there, and moves to a shard whose owner cannot say anything for a
// while. All have then said that they are empty, but not at one moment.
func TestAProofIsNoneAfterStockWasHeardOf(t *testing.T) {
	// A sender says all levels once a second, and in between what changed.
	for name, ticks := range map[string]time.Duration{"by what changed": 2, "by all levels": 8} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(3)
			w.pass(ticks*levels.Every, func() {})
			w.prove(0)
			w.pass(levels.Every, func() {})
			if _, marked := w.table.Mark(uid, "a", w.now); !marked {
				t.Fatal("the proof makes no mark")
			}
			w.set(1, 1)
			w.pass(levels.Every, func() {})
			w.set(1, 0)
			// The owner of shard 2 has the unit, and is silent.
			for moved := w.now; w.now.Sub(moved) < levels.Fresh; w.now = w.now.Add(levels.Every) {
				for n := range 2 {
					for _, message := range w.broadcast(n) {
						w.observe(message)
					}
				}
				if _, marked := w.table.Mark(uid, "a", w.now); marked {
					t.Fatalf("marked %s after the unit moved", w.now.Sub(moved))
				}
			}
		})
	}
}

func TestTheClustersClockGoesBack(t *testing.T) {
	const ms = time.Millisecond
	for _, back := range []time.Duration{300 * ms, 900 * ms, 1500 * ms, time.Hour} {
		t.Run(back.String(), func(t *testing.T) {
			w := newWorld(4)
			marked := func() bool {
				_, ok := w.table.Mark(uid, "a", w.now)
				return ok
			}
			w.prove(3)
			w.pass(3*time.Second, func() {})
			// Younger than all levels that will be known when the clock goes.
			w.prove(0)
			w.pass(levels.Every, func() {})
			if !marked() {
				t.Fatal("not marked")
			}
			w.now, w.stepped = w.now.Add(-back), w.stepped+back
			for n := range w.proofs {
				w.proofs[n] = w.proofs[n].Add(-back)
			}
			w.set(1, 5)
			w.pass(2*levels.Fresh, func() {})
			if marked() {
				t.Error("still marked two seconds after stock came")
			}
			w.set(1, 0)
			w.pass(levels.Fresh, func() {})
			w.prove(2)
			w.pass(levels.Every, func() {})
			if !marked() {
				t.Error("not marked by a proof of after")
			}
		})
	}
}

func TestAMarkWithSomeLeftIsAsOldAsItsProof(t *testing.T) {
	w := newWorld(2)
	w.set(1, 3)
	w.pass(levels.Every, func() {})
	w.prove(1)
	proved := w.now
	w.pass(2*time.Second, func() {
		left, ok := w.table.Mark(uid, "a", w.now)
		if want := w.now.Before(proved.Add(levels.Fresh)); ok != want || ok && left != 3 {
			t.Fatalf("%s after the proof: %d left, marked %v", w.now.Sub(proved), left, ok)
		}
	})
	w.prove(1)
	w.pass(levels.Every, func() {})
	w.set(0, 4)
	w.pass(levels.Every, func() {})
	if left, ok := w.table.Mark(uid, "a", w.now); ok {
		t.Errorf("marked with %d left, although a shard has 4", left)
	}
}

func TestWhatCannotBeUsedChangesNothing(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	level := func(sku string, available int64) []*flashv1.ItemLevel {
		return []*flashv1.ItemLevel{{Sku: sku, Available: available}}
	}
	proof := func(soldOut *flashv1.SoldOutItem) *flashv1.PartitionLevels {
		return &flashv1.PartitionLevels{Sequence: 5, Unchanged: true, SoldOut: []*flashv1.SoldOutItem{soldOut}}
	}
	levelsOf := func(part *flashv1.PartitionLevels, sent time.Time) *flashv1.Levels {
		return &flashv1.Levels{SentUnixMs: sent.UnixMilli(), Partitions: []*flashv1.PartitionLevels{part}}
	}
	tests := []struct {
		name string
		uid  string
		sent time.Duration
		part *flashv1.PartitionLevels
	}{
		{"a second old", uid, -levels.Fresh, &flashv1.PartitionLevels{Sequence: 9, Items: level("a", 7)}},
		{"from the future", uid, levels.Fresh, &flashv1.PartitionLevels{Sequence: 9, Items: level("a", 7)}},
		{"another promotion", "other", 0, &flashv1.PartitionLevels{Sequence: 9, Items: level("a", 7)}},
		{"a negative partition", uid, 0, &flashv1.PartitionLevels{Partition: -1, Sequence: 9, Items: level("a", 7)}},
		{"no such partition", uid, 0, &flashv1.PartitionLevels{Partition: math.MaxInt32, Sequence: 9, Items: level("a", 7)}},
		{"an unknown item", uid, 0, &flashv1.PartitionLevels{Sequence: 9, Items: level("x", 7)}},
		{"a negative level", uid, 0, &flashv1.PartitionLevels{Sequence: 9, Items: level("a", -7)}},
		{"an older sequence", uid, 0, &flashv1.PartitionLevels{Sequence: 4, Items: level("a", 7)}},
		{"unchanged since what was not heard", uid, 0, &flashv1.PartitionLevels{Sequence: 9, Unchanged: true}},
		{"a change of what was not heard", uid, 0, &flashv1.PartitionLevels{Sequence: 9, Base: 8, Items: level("a", 7)}},
		{"a garbled change", uid, 0, &flashv1.PartitionLevels{
			Sequence: 9, Base: 5, Items: append(level("a", 7), level("x", 7)...),
		}},
		{"a proof of an unknown item", uid, 0, proof(&flashv1.SoldOutItem{Sku: "x"})},
		{"a proof from the future", uid, 0, proof(&flashv1.SoldOutItem{Sku: "b", AgeMs: -1})},
		{"an old proof", uid, 0, proof(&flashv1.SoldOutItem{Sku: "b", AgeMs: 1000})},
		{"a proof that less than nothing is left", uid, 0, proof(&flashv1.SoldOutItem{Sku: "b", Left: -1})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := levels.NewTable()
			table.SetPromotions(map[string]*promotion.Promotion{uid: promotion.New(aPromotion(1))})
			known := levelsOf(&flashv1.PartitionLevels{Sequence: 5, Items: level("a", 3)}, now)
			if !table.Observe(uid, known, now) {
				t.Fatal("the levels were not taken")
			}
			table.Observe(test.uid, levelsOf(test.part, now.Add(test.sent)), now)
			if got := table.Level(uid, 0, "a"); got != 3 {
				t.Errorf("level %d, want 3", got)
			}
			if marks := table.Marks(now); marks != 0 {
				t.Errorf("%d marks", marks)
			}
		})
	}
}
