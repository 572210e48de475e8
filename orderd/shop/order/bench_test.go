package order_test

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// BenchmarkPlaceOrder measures orders of two lines by 128 buyers at once, without the network, on a
// database that has every commit on disk:
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
			err = database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
				for i := range bench.skus {
					sku := fmt.Sprintf("sku%d", i)
					if _, err := tx.Exec(
						ctx,
						"INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at) VALUES ($1, 'Some goods', 100, 'CNY', true, now())",
						sku,
					); err != nil {
						return err
					}
					if err := stock.Create(ctx, tx, sku); err != nil {
						return err
					}
					if err := stock.Apply(ctx, tx,
						[]stock.Movement{stock.Add("stocked", stock.Quantity{SKU: sku, Quantity: 10_000_000})}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			service, err := newService(pool, time.Now, order.ServiceOptions{MaxBatch: bench.batch})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				start := time.Now()
				placeMany(b, service, bench.n, bench.skus)
				b.ReportMetric(float64(bench.n)/time.Since(start).Seconds(), "orders/s")
			}
		})
	}
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
					RequestId: fmt.Sprint(run, i),
					BuyerId:   fmt.Sprintf("buyer-%d", i%5000),
					Lines: []*orderv1.PlaceOrderLine{
						{Sku: fmt.Sprintf("sku%d", 2*i%skus), Quantity: 1},
						{Sku: fmt.Sprintf("sku%d", (2*i+1)%skus), Quantity: 2},
					},
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
