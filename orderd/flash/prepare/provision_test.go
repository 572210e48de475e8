package prepare_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

const uid = "00000000-0000-4000-8000-000000000001"

// newPromotion sells the items over so many streams, in turn.
func newPromotion(streams, partitions int32, items ...prepare.Item) *flashv1.Promotion {
	p := &flashv1.Promotion{
		Uid:        uid,
		Name:       "sale",
		Streams:    plog.StreamNames(uid, streams),
		Partitions: partitions,
		Open:       true,
	}
	for i, item := range items {
		p.Items = append(p.Items, &flashv1.PromotedItem{Sku: item.SKU, UnitPrice: 100, Stream: int32(i) % streams})
	}
	return p
}

func open(tb testing.TB, js jetstream.JetStream, p *flashv1.Promotion, items ...prepare.Item) {
	tb.Helper()
	ctx := context.Background()
	if err := errors.Join(ensureBuckets(ctx, js), prepare.EnsureStreams(ctx, js, p, 1)); err != nil {
		tb.Fatal(err)
	}
	if err := prepare.OpenPartitions(ctx, js, p, "allocation", items); err != nil {
		tb.Fatal(err)
	}
}

// dying is a log whose writer dies at one of its appends, before or after it lands.
type dying struct {
	plog.Log
	mu    sync.Mutex
	left  int
	lands bool
	die   context.CancelFunc
}

func (d *dying) Append(ctx context.Context, entry plog.Entry) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left >= 0 {
		return d.Log.Append(ctx, entry)
	}
	if d.lands {
		d.lands = false
		_, _ = d.Log.Append(ctx, entry)
	}
	d.die()
	return 0, ctx.Err()
}

func TestClosingAppendsTopUpsOnceWhereverItDies(t *testing.T) {
	items := []prepare.Item{{SKU: "a", Quantity: 100}, {SKU: "b", Quantity: 7}, {SKU: "c", Quantity: 1}}
	want := []prepare.Total{
		{
			SKU:       "a",
			Allocated: 100,
			ToppedUp:  31,
			Unsold:    131,
		},
		{SKU: "b", Allocated: 7, ToppedUp: 1, Unsold: 8},
		{SKU: "c", Allocated: 1, Unsold: 1},
	}
	js := testnats.Run(t).JetStream(t)
	for at := 0; at < 20; at++ {
		for _, lands := range []bool{false, true} {
			p := newPromotion(2, 4, items...)
			p.Uid = uuid.NewString()
			p.Streams = plog.StreamNames(p.Uid, 2)
			p.TopUps = []*flashv1.TopUp{
				{Id: "1", Sku: "a", Quantity: 30},
				{Id: "2", Sku: "b", Quantity: 1},
				{Id: "3", Sku: "a", Quantity: 1},
			}
			open(t, js, p, items...)
			log := plog.New(js, p)
			// An owner has appended one share of the first top-up.
			shares := prepare.Split([]prepare.Item{{SKU: "a", Quantity: 30}}, 2)
			_, err := log.Append(
				t.Context(),
				plog.Entry{Partition: 0, Expected: 1, Record: &flashv1.Record{Kind: &flashv1.Record_ToppedUp{
					ToppedUp: &flashv1.ToppedUp{
						TopUpId: "1",
						Items:   []*flashv1.ItemQuantity{{Sku: "a", Quantity: shares[0][0].Quantity}},
					},
				}}},
			)
			if err != nil {
				t.Fatal(err)
			}
			ctx, die := context.WithCancel(t.Context())
			_, err = prepare.CloseLogs(ctx, &dying{Log: log, left: at, lands: lands, die: die}, p, "first")
			died := ctx.Err() != nil
			die()
			if died == (err == nil) {
				t.Fatalf("died %v, and %v", died, err)
			}
			got, err := prepare.CloseLogs(t.Context(), log, p, "second")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("died at append %d, landed %v (-want +got)\n%s", at, lands, diff)
			}
			if err := prepare.DeleteStreams(t.Context(), js, p); err != nil {
				t.Fatal(err)
			}
			if !died {
				return
			}
		}
	}
	t.Fatal("it died at every append")
}

func TestPublishForgetsNoTopUp(t *testing.T) {
	js := testnats.Run(t).JetStream(t)
	if err := ensureBuckets(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	p := newPromotion(1, 1, prepare.Item{SKU: "a"})
	before, err := prepare.Publish(t.Context(), js, p)
	if err != nil || before != nil {
		t.Fatalf("%v, %v", before, err)
	}
	topped := proto.CloneOf(p)
	topped.TopUps = []*flashv1.TopUp{{Id: "1", Sku: "a", Quantity: 5}}
	if before, err = prepare.Publish(t.Context(), js, topped); err != nil || !proto.Equal(before, p) {
		t.Fatalf("%v, %v", before, err)
	}
	paused := proto.CloneOf(p)
	paused.Paused = true
	if _, err := prepare.Publish(t.Context(), js, paused); err != nil {
		t.Fatal(err)
	}
	want := proto.CloneOf(topped)
	want.Paused = true
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			more := proto.CloneOf(paused)
			more.TopUps = []*flashv1.TopUp{{Id: fmt.Sprint(10 + i), Sku: "a", Quantity: 1}}
			if _, err := prepare.Publish(t.Context(), js, more); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	got, err := prepare.Publish(t.Context(), js, paused)
	if err != nil {
		t.Fatal(err)
	}
	if !got.GetPaused() || len(got.GetTopUps()) != 5 || !proto.Equal(got.GetTopUps()[0], topped.GetTopUps()[0]) {
		t.Fatalf("published %v", got)
	}
}

// BenchmarkOpen provisions 1,000 items in 64 partitions: 64,000 stock shards, with SKUs as
// long as they may be.
func BenchmarkOpen(b *testing.B) {
	var items []prepare.Item
	for i := range 1000 {
		items = append(items, prepare.Item{SKU: fmt.Sprintf("sku-%04d-%s", i, strings.Repeat("x", 55)), Quantity: 100_000})
	}
	for _, streams := range []int32{1, 4} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			js := testnats.Run(b).JetStream(b)
			for b.Loop() {
				p := newPromotion(streams, 64, items...)
				p.Uid = uuid.NewString()
				p.Streams = plog.StreamNames(p.Uid, streams)
				open(b, js, p, items...)
				b.StopTimer()
				if err := prepare.DeleteStreams(b.Context(), js, p); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkCount counts a log of 200,000 orders, 64 a record: from its start, as after the operator
// was started again, and once more.
func BenchmarkCount(b *testing.B) {
	const orders, perRecord = 200_000, 64
	js := testnats.Run(b).JetStream(b)
	item := prepare.Item{SKU: "a", Quantity: 1 << 30}
	p := newPromotion(1, 1, item)
	open(b, js, p, item)
	log, last := plog.New(js, p), uint64(1)
	for range orders / perRecord {
		reserved := &flashv1.Reserved{}
		for range perRecord {
			id := uuid.New()
			reserved.Reservations = append(reserved.Reservations, &flashv1.Reservation{
				OrderId:   id[:],
				BuyerId:   "buyer-000042",
				RequestId: id.String(),
				Items:     []*flashv1.ReservedItem{{Sku: "a", Quantity: 1, UnitPrice: 100}},
			})
		}
		var err error
		last, err = log.Append(b.Context(),
			plog.Entry{Expected: last, Record: &flashv1.Record{Kind: &flashv1.Record_Reserved{Reserved: reserved}}})
		if err != nil {
			b.Fatal(err)
		}
	}
	count := func(counter *prepare.Counter) {
		if _, err := counter.Totals(b.Context(), js, p); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("from the start", func(b *testing.B) {
		for b.Loop() {
			count(prepare.NewCounter(orders))
		}
	})
	b.Run("once more", func(b *testing.B) {
		counter := prepare.NewCounter(orders)
		count(counter)
		for b.Loop() {
			count(counter)
		}
	})
}
