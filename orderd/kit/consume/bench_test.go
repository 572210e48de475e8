package consume_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// BenchmarkConsumer metrics one pod's consumer in events a second, from a stream that holds a
// sale's events already: with an effect that inserts a row an event, with one that inserts them
// together, with deliveries that take no time, and with the latter in sequence per order.
func BenchmarkConsumer(b *testing.B) {
	deliver := func(context.Context, consume.Event) error { return nil }
	for name, o := range map[string]consume.Options{
		"Effect":          {Effect: note("bench")},
		"EffectOneByOne":  {Effect: note("bench"), Batch: 1},
		"BatchEffect":     {BatchEffect: noteAll, Batch: 256},
		"Delivery":        {Delivery: deliver},
		"OrderedDelivery": {Delivery: deliver, Ordered: true},
	} {
		b.Run(name, func(b *testing.B) { consumeAll(b, o) })
	}
}

func noteAll(ctx context.Context, tx *database.Tx, events []consume.Event) error {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	_, err := tx.Exec(ctx, "INSERT INTO effects (consumer, event_id) SELECT 'bench', id FROM unnest($1::text[]) AS e (id)",
		ids)
	return err
}

func consumeAll(b *testing.B, o consume.Options) {
	const events = 16384
	for b.Loop() {
		b.StopTimer()
		pool, js := testdb.NewPool(b), testnats.Run(b).JetStream(b)
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := pool.Exec(ctx, "CREATE TABLE effects (consumer text, event_id text)"); err != nil {
			b.Fatal(err)
		}
		if _, err := outbox.EnsureStream(ctx, js, 1); err != nil {
			b.Fatal(err)
		}
		for range events / 512 {
			if _, err := jetstreamext.PublishMsgBatch(ctx, js, paidMessages(b, 512)); err != nil {
				b.Fatal(err)
			}
		}
		o.Name, o.Types, o.JetStream, o.Pool, o.Replicas = "bench", []string{typePaid}, js, pool, 1
		o.Clock, o.Random, o.Logger = time.Now, rand.New(rand.NewPCG(1, 2)), logger()
		c, err := consume.New(o)
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan error, 1)
		b.StartTimer()
		start := time.Now()
		go func() { done <- c.Run(ctx) }()
		eventually(b, "all are consumed", func() bool {
			durable, err := js.Consumer(ctx, outbox.Stream, "bench")
			if err != nil {
				return false
			}
			return durable.CachedInfo().AckFloor.Stream == events
		})
		b.ReportMetric(events/time.Since(start).Seconds(), "events/s")
		b.StopTimer()
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// paidMessages are events as the relay publishes them, of the size of an order of two lines.
func paidMessages(b *testing.B, n int) []*nats.Msg {
	b.Helper()
	out := make([]*nats.Msg, n)
	for i := range out {
		id := uuid.New()
		data, err := proto.Marshal(&orderv1.OrderPaid{
			Order: &orderv1.Order{OrderId: id.String(), BuyerId: "buyer-123456", Version: 2, Lines: []*orderv1.OrderLine{
				{
					Sku:      "tea-green-500g",
					Title:    "Green tea, 500 g",
					Quantity: 2,
					Line:     1,
				},
				{Sku: "teapot-blue", Title: "Teapot, blue", Quantity: 1, Line: 2},
			}},
		})
		if err != nil {
			b.Fatal(err)
		}
		out[i] = nats.NewMsg("order.events.paid." + id.String())
		out[i].Data = data
		for name, value := range map[string]string{
			"ce-specversion": "1.0", "ce-id": eventID(id, 2), "ce-source": "test/shop", "ce-type": typePaid,
			"ce-subject": id.String(),
			"ce-time":    time.Now().UTC().Format(time.RFC3339Nano), "ce-datacontenttype": "application/protobuf",
		} {
			out[i].Header.Set(name, value)
		}
	}
	return out
}
