package flash_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/client"
	flashpod "github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// BenchmarkRelease measures what follows when thousands of orders expire at once: releases a second
// that one worker gets through one pod into the log, every one fsynced, and into a database that
// has every commit on disk.
func BenchmarkRelease(b *testing.B) {
	const size = 4000
	base, err := testdb.Durable()
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		url, err := testdb.Create(ctx, base, "release_"+fmt.Sprint(time.Now().UnixNano()))
		must(err)
		pool, err := database.Open(ctx, url, 16)
		must(err)
		log := slog.New(slog.DiscardHandler)
		store, err := order.NewStore(order.Options{Pool: pool, Clock: time.Now, Logger: log})
		must(err)
		js := testnats.Run(b).JetStream(b)
		items := []prepare.Item{{SKU: "a", Quantity: size}}
		p := newPromotion(2, 0, items...)
		must(prepareAndPublish(ctx, saleOf(js, nil, p, items)))
		must(stockA(ctx, pool, size))
		pod, err := runPod(js, "pod-a", nil, log)
		must(err)
		tick := time.NewTicker(10 * time.Millisecond)
		for pod.Ready() != nil {
			<-tick.C
		}
		ids := buyEach(ctx, b, pod, p, size)
		must(expireAll(ctx, store, p, ids))
		releaser, err := order.NewReleaser(order.ReleaserOptions{
			Worker: order.WorkerOptions{
				Store:         store,
				WorkerOptions: lease.WorkerOptions{Worker: "w", Logger: log},
			},
			Flash: client.NewReleaser("http://" + pod.address),
		})
		must(err)
		running, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		start := time.Now()
		b.StartTimer()
		go func() { ended <- releaser.Run(running) }()
		for range tick.C {
			left, err := order.PendingReleases(ctx, pool, p.Uid)
			must(err)
			if left == 0 {
				break
			}
		}
		tick.Stop()
		b.ReportMetric(size/time.Since(start).Seconds(), "releases/s")
		cancel()
		must(<-ended)
		pod.stop()
		pool.Close()
	}
}

// stockA makes the SKU a, of which there are so many.
func stockA(ctx context.Context, pool *pgxpool.Pool, quantity int64) error {
	return database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
		if _, err := tx.Exec(
			ctx,
			"INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at) VALUES ('a', 'A', 100, 'EUR', true, now())",
		); err != nil {
			return err
		}
		if err := stock.Create(ctx, tx, "a"); err != nil {
			return err
		}
		return stock.Apply(ctx, tx, []stock.Movement{stock.Add("stocked", stock.Quantity{SKU: "a", Quantity: quantity})})
	})
}

// buyEach has so many buyers buy one unit each.
func buyEach(ctx context.Context, b *testing.B, pod *pod, p *flashv1.Promotion, size int) []uuid.UUID {
	b.Helper()
	var buyers sync.WaitGroup
	ids := make([]uuid.UUID, size)
	for w := range 64 {
		buyers.Go(func() {
			for i := w; i < size; i += 64 {
				got := insist(ctx, func(int) *flashpod.Service { return pod.Service },
					request(p, fmt.Sprint("buyer-", i), "r", "a", 1))
				id, err := uuid.Parse(got.order)
				if err != nil {
					b.Errorf("order %d is refused: %s", i, got.reason)
					return
				}
				ids[i] = id
			}
		})
	}
	buyers.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return ids
}

// expireAll writes the buyers' orders to the database, and expires them there.
func expireAll(ctx context.Context, store *order.Store, p *flashv1.Promotion, ids []uuid.UUID) error {
	accepted := make([]order.Accepted, len(ids))
	for i, id := range ids {
		accepted[i] = order.Accepted{
			OrderID:      id,
			BuyerID:      fmt.Sprint("buyer-", i),
			RequestID:    "r",
			PromotionUID: p.Uid,
			Promotion:    p.Name,
			Currency:     "EUR",
			Items: []order.AcceptedItem{
				{SKU: "a", Quantity: 1, UnitPrice: 100},
			},
			AcceptedAt: time.Now(),
			ExpiresAt:  time.Now().Add(-time.Second),
		}
	}
	for from := 0; from < len(ids); from += 500 {
		if err := store.Materialize(ctx, accepted[from:from+500]); err != nil {
			return err
		}
		if err := store.Expire(ctx, ids[from:from+500], time.Now()); err != nil {
			return err
		}
	}
	return nil
}
