package levels_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/levels"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

func TestOnlyWhatChangedIsSaid(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	table, sender := levels.NewTable(), levels.NewSender()
	table.SetPromotions(map[string]*promotion.Promotion{uid: promotion.New(aPromotion(1))})
	steps := []struct {
		name string
		a, b int64
		lost bool
		// said are the items in the message; none: it says that nothing changed, or
		// there is no message.
		said []string
		// knows is what the table has then, of a and b.
		knows [2]int64
	}{
		{"the first", 100, 50, false, []string{"a", "b"}, [2]int64{100, 50}},
		{"one by much", 80, 49, false, []string{"a"}, [2]int64{80, 50}},
		{"none by much", 79, 47, false, nil, [2]int64{80, 50}},
		{"one is empty", 79, 0, false, []string{"b"}, [2]int64{80, 0}},
		{"and not any more, and that is lost", 79, 1, true, []string{"b"}, [2]int64{80, 0}},
		{"the next is no use without it", 10, 1, false, []string{"a"}, [2]int64{80, 0}},
	}
	for i, step := range steps {
		now = now.Add(levels.Every)
		reading := levels.Reading{Levels: owner.Levels{Sequence: uint64(i + 1), Items: []owner.Level{
			{SKU: "a", Available: step.a}, {SKU: "b", Available: step.b},
		}}}
		var said []string
		for _, message := range sender.Messages("pod", now, now, []levels.Reading{reading}) {
			for _, item := range message.GetPartitions()[0].GetItems() {
				said = append(said, item.GetSku())
			}
			if !step.lost {
				table.Observe(uid, message, now)
			}
		}
		knows := [2]int64{table.Level(uid, 0, "a"), table.Level(uid, 0, "b")}
		if !slices.Equal(said, step.said) || knows != step.knows {
			t.Errorf("%s: said %v, want %v; known are %v, want %v", step.name, said, step.said, knows, step.knows)
		}
	}
	now = now.Add(time.Second)
	all := levels.Reading{Levels: owner.Levels{Sequence: 9, Items: []owner.Level{
		{SKU: "a", Available: 10}, {SKU: "b", Available: 1},
	}}}
	for _, message := range sender.Messages("pod", now, now, []levels.Reading{all}) {
		table.Observe(uid, message, now)
	}
	if a, b := table.Level(uid, 0, "a"), table.Level(uid, 0, "b"); a != 10 || b != 1 {
		t.Errorf("a second later: %d and %d", a, b)
	}
}

func TestPromotionsComeChangeAndGo(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	table := levels.NewTable()
	expect := func(when string, level int64, marked bool) {
		t.Helper()
		if got := table.Level(uid, 0, "a"); got != level {
			t.Errorf("%s: level %d, want %d", when, got, level)
		}
		if _, got := table.Mark(uid, "b", now); got != marked {
			t.Errorf("%s: marked %v, want %v", when, got, marked)
		}
	}
	expect("before any", levels.Unknown, false)
	p := aPromotion(1)
	table.SetPromotions(map[string]*promotion.Promotion{uid: promotion.New(p)})
	expect("before anything was heard", levels.Unknown, false)
	table.Observe(uid, &flashv1.Levels{SentUnixMs: now.UnixMilli(), Partitions: []*flashv1.PartitionLevels{{
		Sequence: 1, Items: []*flashv1.ItemLevel{{Sku: "a", Available: 3}}, SoldOut: []*flashv1.SoldOutItem{{Sku: "b"}},
	}}}, now)
	expect("heard", 3, true)
	paused := proto.CloneOf(p)
	paused.Paused = true
	table.SetPromotions(map[string]*promotion.Promotion{uid: promotion.New(paused)})
	expect("paused", 3, true)
	other := proto.CloneOf(p)
	other.Items[0], other.Items[1] = other.Items[1], other.Items[0]
	table.SetPromotions(map[string]*promotion.Promotion{uid: promotion.New(other)})
	expect("with other items", levels.Unknown, false)
	closed := proto.CloneOf(p)
	closed.Closed = true
	table.SetPromotions(map[string]*promotion.Promotion{uid: promotion.New(closed)})
	expect("closed", levels.Unknown, false)
	table.SetPromotions(nil)
	expect("gone", levels.Unknown, false)
}

func FuzzObserve(f *testing.F) {
	now := time.UnixMilli(1_800_000_000_000)
	part := &flashv1.PartitionLevels{
		Sequence: 1, Items: []*flashv1.ItemLevel{{Sku: "a", Available: 3}}, SoldOut: []*flashv1.SoldOutItem{{Sku: "b"}},
	}
	seed, err := proto.Marshal(&flashv1.Levels{
		Pod: "pod", SentUnixMs: now.UnixMilli(), Partitions: []*flashv1.PartitionLevels{part},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var message flashv1.Levels
		if proto.Unmarshal(raw, &message) != nil {
			return
		}
		table := levels.NewTable()
		table.SetPromotions(map[string]*promotion.Promotion{uid: promotion.New(aPromotion(3))})
		table.Observe(uid, &message, now)
		for n := range int32(3) {
			if level := table.Level(uid, n, "a"); level < levels.Unknown {
				t.Fatalf("level %d", level)
			}
		}
	})
}
