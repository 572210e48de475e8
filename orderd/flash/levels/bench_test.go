package levels_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/levels"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
)

// A large sale: 1,000 items in one stream of 64 partitions, 16 of them a pod's.
const (
	largeItems      = 1000
	largePartitions = 64
	largeOwned      = 16
)

func large() (*levels.Table, []levels.Reading) {
	p := &flashv1.Promotion{Uid: uid, Name: "sale", Partitions: largePartitions, Streams: []string{"s"}}
	items := make([]owner.Level, largeItems)
	for i := range items {
		items[i] = owner.Level{SKU: fmt.Sprintf("sku-%04d", i), Available: int64(i % 2 * 100)}
		p.Items = append(p.Items, &flashv1.PromotedItem{Sku: items[i].SKU})
	}
	table := levels.NewTable()
	table.SetPromotions(map[string]*promotion.Promotion{uid: promotion.New(p)})
	readings := make([]levels.Reading, largeOwned)
	for n := range readings {
		readings[n] = levels.Reading{Partition: int32(n), Levels: owner.Levels{Sequence: 1, Items: items}}
	}
	return table, readings
}

// BenchmarkTick is what a pod's broadcast costs it, ten times a second.
func BenchmarkTick(b *testing.B) {
	for _, test := range []struct {
		name string
		// moves has every sequence move, much one item's level in each partition as well.
		moves, much bool
	}{{"idle", false, false}, {"selling, little of each item", true, false}, {"selling, much of one item", true, true}} {
		b.Run(test.name, func(b *testing.B) {
			_, readings := large()
			sender, now := levels.NewSender(), time.UnixMilli(1_800_000_000_000)
			bytes := 0
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(levels.Every)
				for n := range readings {
					if test.moves {
						readings[n].Sequence++
					}
				}
				// The readings share their items.
				if test.much {
					readings[0].Items[1].Available ^= 256
				}
				for _, message := range sender.Messages("pod", now, now, readings) {
					bytes += proto.Size(message)
				}
			}
			b.ReportMetric(float64(bytes)/float64(b.N), "B/tick")
		})
	}
}

// BenchmarkObserve is what another pod's full broadcast of its 16 partitions costs.
func BenchmarkObserve(b *testing.B) {
	table, readings := large()
	now := time.UnixMilli(1_800_000_000_000)
	var raw [][]byte
	for _, message := range levels.NewSender().Messages("pod", now, now, readings) {
		bytes, err := proto.Marshal(message)
		if err != nil {
			b.Fatal(err)
		}
		raw = append(raw, bytes)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, bytes := range raw {
			var message flashv1.Levels
			if proto.Unmarshal(bytes, &message) != nil || !table.Observe(uid, &message, now) {
				b.Fatal("not taken")
			}
		}
	}
}

// BenchmarkMark is what a request pays.
func BenchmarkMark(b *testing.B) {
	table, _ := large()
	now := time.UnixMilli(1_800_000_000_000)
	table.Observe(uid, &flashv1.Levels{SentUnixMs: now.UnixMilli(), Partitions: []*flashv1.PartitionLevels{{
		Sequence: 1, SoldOut: []*flashv1.SoldOutItem{{Sku: "sku-0500"}},
	}}}, now)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := table.Mark(uid, "sku-0500", now); !ok {
			b.Fatal("not marked")
		}
	}
}
