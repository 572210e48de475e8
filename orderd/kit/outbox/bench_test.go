package outbox_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// BenchmarkRelay measures one relay in events a second, with NATS writing every event to disk.
func BenchmarkRelay(b *testing.B) {
	const events = 4096
	for b.Loop() {
		pool, js := testdb.NewPool(b), testnats.Run(b).JetStream(b)
		ctx, cancel := context.WithCancel(context.Background())
		written := make([]outbox.Event, events)
		for i := range written {
			id := uuid.New()
			written[i] = outbox.Event{
				OrderID: id,
				Version: 1,
				Name:    "placed",
				Payload: &orderv1.OrderPlaced{Order: &orderv1.Order{OrderId: id.String(), BuyerId: "ann"}},
				At:      time.Now(),
			}
		}
		err := database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
			var batch pgx.Batch
			if err := outbox.Queue(&batch, written); err != nil {
				return err
			}
			return tx.SendBatch(ctx, &batch).Close()
		})
		if err != nil {
			b.Fatal(err)
		}
		relay, err := outbox.NewRelay(outbox.RelayOptions{
			Pool:      pool,
			JetStream: js,
			Replicas:  1,
			Source:    "bench",
			Worker:    "bench",
			Clock:     time.Now,
			Logger:    slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan error, 1)
		start := time.Now()
		go func() { done <- relay.Run(ctx) }()
		tick := time.NewTicker(10 * time.Millisecond)
		for left := events; left > 0; <-tick.C {
			if err := pool.QueryRow(ctx, "SELECT count(*) FROM outbox").Scan(&left); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(events/time.Since(start).Seconds(), "events/s")
		tick.Stop()
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
