package order_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/order"
	"github.com/orderd-dev/orderd/orderd/orderid"
	"github.com/orderd-dev/orderd/orderd/quote"
	"github.com/orderd-dev/orderd/orderd/stock"
	"github.com/orderd-dev/orderd/test/testdb"
)

// BenchmarkPlaceOrder measures orders of two lines by 128 buyers at once, without the network, on a database that has every commit on disk:
// together, and as one transaction a request.
func BenchmarkPlaceOrder(b *testing.B) {
	ctx := context.Background()
	base, err := testdb.Durable()
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name           string
		batch, skus, n int
	}{{"together", 0, 1000, 20_000}, {"together-hot", 0, 2, 20_000}, {"alone", 1, 1000, 2000}} {
		b.Run(bench.name, func(b *testing.B) {
			url, err := testdb.Create(ctx, base, "bench_"+fmt.Sprint(mathrand.Uint64()))
			if err != nil {
				b.Fatal(err)
			}
			pool, err := database.Open(ctx, url, 16)
			if err != nil {
				b.Fatal(err)
			}
			defer pool.Close()
			err = database.ExecuteTx(ctx, pool, func(tx pgx.Tx) error {
				for i := range bench.skus {
					sku := fmt.Sprintf("sku%d", i)
					if _, err := tx.Exec(ctx, "INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at) VALUES ($1, 'Some goods', 100, 'CNY', true, now())", sku); err != nil {
						return err
					}
					if err := stock.Create(ctx, tx, sku); err != nil {
						return err
					}
					if err := stock.Apply(ctx, tx, []stock.Movement{stock.Add("stocked", stock.Quantity{SKU: sku, Quantity: 10_000_000})}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			service := newBenchService(b, order.Options{Pool: pool, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)}, bench.batch)
			for b.Loop() {
				start := time.Now()
				placeMany(b, service, bench.n, bench.skus)
				b.ReportMetric(float64(bench.n)/time.Since(start).Seconds(), "orders/s")
			}
		})
	}
}

func newBenchService(b *testing.B, o order.Options, batch int) *order.Service {
	b.Helper()
	store, err := order.NewStore(o)
	if err != nil {
		b.Fatal(err)
	}
	key := []byte("0123456789abcdef")
	ids, err := orderid.NewGenerator(key, time.Now, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	tokens, err := quote.NewTokens(key, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	return order.NewService(order.ServiceOptions{
		Store: store, IDs: ids, Tokens: tokens, PaymentTimeout: time.Hour, MaxBatch: batch, Random: mathrand.New(mathrand.NewPCG(1, 2)),
	})
}

func placeMany(b *testing.B, service *order.Service, n, skus int) {
	b.Helper()
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	run := rand.Text()
	var wg sync.WaitGroup
	for range 128 {
		wg.Go(func() {
			for i := range next {
				_, err := service.PlaceOrder(context.Background(), &orderv1.PlaceOrderRequest{
					RequestId: fmt.Sprint(run, i), BuyerId: fmt.Sprintf("buyer-%d", i%5000),
					Lines: []*orderv1.PlaceOrderLine{{Sku: fmt.Sprintf("sku%d", 2*i%skus), Quantity: 1}, {Sku: fmt.Sprintf("sku%d", (2*i+1)%skus), Quantity: 2}},
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
