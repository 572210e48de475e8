package materializer_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/shop/materializer"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// unlimited is more than any database takes.
const unlimited = 10_000_000

// bench is a database that has every commit on disk, and promotions with orders in their logs.
type bench struct {
	b     *testing.B
	js    jetstream.JetStream
	pool  *pgxpool.Pool
	store *order.Store
}

func newBench(b *testing.B, base *url.URL) *bench {
	b.Helper()
	ctx := context.Background()
	address, err := testdb.Create(ctx, base, fmt.Sprint("materializer_", mathrand.Uint64()))
	if err != nil {
		b.Fatal(err)
	}
	pool, err := database.Open(ctx, address, 24)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	store, err := order.NewStore(order.Options{Pool: pool, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	js := testnats.Run(b).JetStream(b)
	if _, err := prepare.EnsureBuckets(ctx, js, 1); err != nil {
		b.Fatal(err)
	}
	err = database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
		for i := range 200 {
			sku := fmt.Sprint("sku", i)
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
	return &bench{b, js, pool, store}
}

// sale puts orders of one unit into a promotion's log, so many a record.
func (w *bench) sale(orders, perRecord int) *flashv1.Promotion {
	w.b.Helper()
	ctx := context.Background()
	p := &flashv1.Promotion{
		Uid: uuid.NewString(), Name: "sale", Partitions: 1, Currency: "CNY",
		Items: []*flashv1.PromotedItem{{Sku: "sku0", UnitPrice: 99}},
	}
	p.Streams = plog.StreamNames(p.Uid, 1)
	if err := prepare.EnsureStreams(ctx, w.js, p, 1); err != nil {
		w.b.Fatal(err)
	}
	log := plog.New(w.js, p)
	now := time.Now()
	var last uint64
	for i := 0; i < orders; i += perRecord {
		reserved := &flashv1.Reserved{}
		for j := range min(perRecord, orders-i) {
			id := uuid.New()
			reserved.Reservations = append(reserved.Reservations, &flashv1.Reservation{
				OrderId:          id[:],
				BuyerId:          fmt.Sprint("buyer-", i+j),
				RequestId:        "r",
				Currency:         "CNY",
				AcceptedAtUnixMs: now.UnixMilli(),
				ExpiresAtUnixMs:  now.Add(time.Hour).UnixMilli(),
				Items:            []*flashv1.ReservedItem{{Sku: "sku0", Quantity: 1, UnitPrice: 99}},
			})
		}
		var err error
		if last, err = log.Append(
			ctx,
			plog.Entry{Expected: last, Record: &flashv1.Record{Kind: &flashv1.Record_Reserved{Reserved: reserved}}},
		); err != nil {
			w.b.Fatal(err)
		}
	}
	return p
}

// run follows the promotions until stop.
func (w *bench) run(rate, concurrency int) (stop func()) {
	m, err := materializer.New(materializer.Options{
		JetStream:     w.js,
		Writer:        w.store,
		RatePerSecond: rate,
		Concurrency:   concurrency,
		Clock:         time.Now,
		Random:        mathrand.New(mathrand.NewPCG(1, 2)),
		Logger:        slog.New(slog.DiscardHandler),
		Registerer:    prometheus.NewRegistry(),
	})
	if err != nil {
		w.b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.Run(ctx); err != nil {
			w.b.Error(err)
		}
	})
	return sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
}

func (w *bench) drained(p *flashv1.Promotion) {
	w.b.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		done, err := prepare.Drained(context.Background(), w.js, p)
		if err != nil {
			w.b.Fatal(err)
		}
		if done {
			return
		}
	}
}

// BenchmarkMaterialize measures orders a second from the log to a database that has every commit on
// disk, without a limit, by orders a record and transactions at once. The log is written before.
func BenchmarkMaterialize(b *testing.B) {
	base, err := testdb.Durable()
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct{ orders, perRecord, concurrency int }{
		{40_000, 256, 2}, {40_000, 256, 3}, {40_000, 256, 4}, {40_000, 256, 8}, {40_000, 16, 4}, {4000, 1, 4},
	} {
		b.Run(fmt.Sprintf("record=%d/transactions=%d", bench.perRecord, bench.concurrency), func(b *testing.B) {
			w := newBench(b, base)
			for b.Loop() {
				b.StopTimer()
				p := w.sale(bench.orders, bench.perRecord)
				b.StartTimer()
				start := time.Now()
				stop := w.run(unlimited, bench.concurrency)
				if err := prepare.PutPromotion(context.Background(), w.js, p); err != nil {
					b.Fatal(err)
				}
				w.drained(p)
				b.ReportMetric(float64(bench.orders)/time.Since(start).Seconds(), "orders/s")
				stop()
			}
		})
	}
}

// BenchmarkOrdinaryOrders measures the latency of ordinary orders, 200 a second of two lines each,
// beside a materializer: idle, limited as it is by default, and without a limit.
func BenchmarkOrdinaryOrders(b *testing.B) {
	base, err := testdb.Durable()
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name         string
		orders, rate int
	}{{"alone", 0, 2000}, {"limit=2000", 12_000, 2000}, {"unlimited", 150_000, unlimited}} {
		b.Run(bench.name, func(b *testing.B) {
			w := newBench(b, base)
			service := newService(b, w.pool)
			for b.Loop() {
				b.StopTimer()
				p := w.sale(bench.orders, 256)
				stop := w.run(bench.rate, 4)
				if err := prepare.PutPromotion(context.Background(), w.js, p); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				latencies := place(b, service, 1000, 200)
				stop()
				slices.Sort(latencies)
				b.ReportMetric(float64(latencies[len(latencies)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds())/1000, "p99-ms")
			}
		})
	}
}

func newService(b *testing.B, pool *pgxpool.Pool) *order.Service {
	b.Helper()
	key := []byte("0123456789abcdef0123456789abcdef")
	ids, err := orderid.NewGenerator(key, time.Now, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	tokens, err := quote.NewTokens(key, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	store, err := order.NewStore(order.Options{Pool: pool, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	return order.NewService(order.ServiceOptions{
		Store:          store,
		IDs:            ids,
		Tokens:         tokens,
		PaymentTimeout: time.Hour,
		MaxBatch:       128,
		Random:         mathrand.New(mathrand.NewPCG(1, 2)),
	})
}

// place sends requests at a steady rate, whatever their answers take, and returns how long each took.
func place(b *testing.B, service *order.Service, n, perSecond int) []time.Duration {
	b.Helper()
	latencies := make([]time.Duration, n)
	run := rand.Text()
	var wg sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for i := range n {
		due := <-tick.C
		wg.Go(func() {
			_, err := service.PlaceOrder(context.Background(), &orderv1.PlaceOrderRequest{
				RequestId: fmt.Sprint(run, i),
				BuyerId:   fmt.Sprint("buyer-", i),
				Lines: []*orderv1.PlaceOrderLine{
					{Sku: fmt.Sprint("sku", 2*i%200), Quantity: 1},
					{Sku: fmt.Sprint("sku", (2*i+1)%200), Quantity: 2},
				},
			})
			if err != nil {
				b.Error(err)
			}
			latencies[i] = time.Since(due)
		})
	}
	wg.Wait()
	return latencies
}
