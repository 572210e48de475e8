package sale_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/materializer"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

const currency = "CNY"

// shop is a database and a NATS server, with a worker that writes accepted orders.
type shop struct {
	store *order.Store
	pool  *pgxpool.Pool
	js    jetstream.JetStream
	sales int
}

func newShop(ctx context.Context) *shop {
	GinkgoHelper()
	pool, err := database.Open(context.WithoutCancel(ctx), testdb.NewMigrated(GinkgoTB()), 8)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(pool.Close)
	s := &shop{pool: pool, js: testnats.Run(GinkgoTB()).JetStream(GinkgoTB())}
	Expect(sale.EnsureBuckets(ctx, s.js, 1)).To(Succeed())
	log := slog.New(slog.NewTextHandler(GinkgoWriter, nil))
	s.store, err = order.NewStore(order.Options{
		Pool: pool, Clock: time.Now, Logger: log, Registerer: prometheus.NewRegistry(),
	})
	Expect(err).NotTo(HaveOccurred())
	m, err := materializer.New(materializer.Options{
		JetStream: s.js, Writer: s.store, RatePerSecond: 10_000, Clock: time.Now, Random: rand.New(rand.NewPCG(1, 1)),
		Logger: log, Registerer: prometheus.NewRegistry(),
	})
	Expect(err).NotTo(HaveOccurred())
	running, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(running) }()
	DeferCleanup(func() {
		stop()
		Eventually(done).Should(Receive(BeNil()))
	})
	return s
}

// put a SKU into the catalog, with units in stock.
func (s *shop) put(ctx context.Context, sku string, units int64) {
	GinkgoHelper()
	c := catalog.NewService(catalog.Options{Pool: s.pool, Clock: time.Now})
	_, err := c.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
		Sku: sku, Title: sku, OnSale: true, Price: &moneyv1.Money{Amount: 100, Currency: currency},
	}})
	Expect(err).NotTo(HaveOccurred())
	_, err = c.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: uuid.NewString(), Sku: sku, Delta: units})
	Expect(err).NotTo(HaveOccurred())
}

func (s *shop) levels(ctx context.Context, sku string) stock.Levels {
	GinkgoHelper()
	l, err := stock.Get(ctx, s.pool, sku)
	Expect(err).NotTo(HaveOccurred())
	return l
}

// An event sells phones and cases, in streams of their own.
const (
	stocked     = 1000
	phones      = 100
	cases       = 50
	morePhones  = 40
	soldPhones  = 20
	soldCases   = 3
	streams     = 2
	partitions  = 4
	firstPhones = 0
	firstCases  = partitions / streams
)

// event is a promotion from its preparation to its removal. What is in it is what the shop's staff
// and buyers would know; nothing in it says which steps were done.
type event struct {
	shop         *shop
	phone, cover string
	promo        *flashv1.Promotion
	// asked is how many phones the sale is prepared with: what the shop's staff asks for at that
	// time.
	asked  int64
	bought bool
}

func (s *shop) newEvent(ctx context.Context) *event {
	GinkgoHelper()
	s.sales++
	uid := uuid.NewString()
	e := &event{shop: s, asked: phones, phone: fmt.Sprintf("phone-%d", s.sales), cover: fmt.Sprintf("case-%d", s.sales)}
	s.put(ctx, e.phone, stocked)
	s.put(ctx, e.cover, stocked)
	now := time.Now()
	e.promo = &flashv1.Promotion{
		Uid: uid, Name: fmt.Sprintf("sale-%d", s.sales), Streams: plog.StreamNames(uid, streams), Partitions: partitions,
		StartUnixMs: now.Add(-time.Hour).UnixMilli(), EndUnixMs: now.Add(-time.Minute).UnixMilli(),
		Currency: currency, PaymentTimeoutMs: time.Hour.Milliseconds(), Open: true,
		Items: []*flashv1.PromotedItem{{Sku: e.phone, UnitPrice: 100, Stream: 0}, {Sku: e.cover, UnitPrice: 100, Stream: 1}},
	}
	return e
}

// runner of a sale that is new: it knows of no step that was done.
func (e *event) runner(phones int64, after func(sale.Step, *flashv1.Promotion) error) sale.Runner {
	return sale.Runner{Clock: time.Now, Patience: 20 * time.Second, Sale: sale.New(sale.Options{
		Promotion: e.promo, Items: []sale.Quantity{{SKU: e.phone, Quantity: phones}, {SKU: e.cover, Quantity: cases}},
		Database: sale.Opened(e.shop.pool), JetStream: sale.Opened(e.shop.js), Replicas: 1, Actor: "test", After: after,
	})}
}

// live runs the sale from its first step to the return of its stock.
func (e *event) live(ctx context.Context, after func(sale.Step, *flashv1.Promotion) error) ([]sale.Total, error) {
	first := e.runner(e.asked, after)
	if err := first.Prepare(ctx); err != nil {
		return nil, err
	}
	if err := first.Publish(ctx); err != nil {
		return nil, err
	}
	e.buy(ctx)
	r := e.runner(phones+morePhones, after)
	if err := r.TopUp(ctx); err != nil {
		return nil, err
	}
	if err := r.Publish(ctx); err != nil {
		return nil, err
	}
	// Whoever closes the sale need not be who topped it up.
	return e.runner(phones+morePhones, after).Settle(ctx)
}

// buy what buyers buy, once, by records as a partition's owner appends them.
func (e *event) buy(ctx context.Context) {
	GinkgoHelper()
	if e.bought {
		return
	}
	e.bought = true
	log := plog.New(e.shop.js, e.promo)
	for n, orders := range map[int32][]*flashv1.Reservation{
		firstPhones: e.orders(e.phone, soldPhones), firstCases: e.orders(e.cover, soldCases),
	} {
		last, err := log.Last(ctx, n)
		Expect(err).NotTo(HaveOccurred())
		_, err = log.Append(ctx, plog.Entry{Partition: n, Expected: last, Record: &flashv1.Record{
			Kind: &flashv1.Record_Reserved{Reserved: &flashv1.Reserved{Reservations: orders}},
		}})
		Expect(err).NotTo(HaveOccurred())
	}
}

func (e *event) orders(sku string, n int) []*flashv1.Reservation {
	now := time.Now()
	list := make([]*flashv1.Reservation, n)
	tried := 0
	for i := range list {
		id, buyer := uuid.New(), ""
		// Each stream's first partition is these buyers'.
		for buyer == "" || partition.ForBuyer(buyer, partitions/streams) != 0 {
			buyer = fmt.Sprintf("buyer-%s-%d", sku, tried)
			tried++
		}
		list[i] = &flashv1.Reservation{
			OrderId: id[:], BuyerId: buyer, RequestId: "1", Currency: currency,
			AcceptedAtUnixMs: now.UnixMilli(), ExpiresAtUnixMs: now.Add(time.Hour).UnixMilli(),
			Items: []*flashv1.ReservedItem{{Sku: sku, Quantity: 1, UnitPrice: 100}},
		}
	}
	return list
}

// expectNothingLost holds at every moment: what is not in stock is the sale's, which never has
// more than it was to get.
func (e *event) expectNothingLost(ctx context.Context, when string) {
	GinkgoHelper()
	for sku, most := range map[string]int64{e.phone: phones + morePhones, e.cover: cases} {
		l := e.shop.levels(ctx, sku)
		Expect(l.Available+l.Reserved).To(BeEquivalentTo(stocked), "%s %s", sku, when)
		Expect(l.Reserved).To(BeNumerically("<=", most), "%s %s", sku, when)
	}
}

// expectSettled holds after the sale.
func (e *event) expectSettled(ctx context.Context, totals []sale.Total) {
	GinkgoHelper()
	Expect(totals).To(ConsistOf(
		sale.Total{
			SKU: e.phone, Allocated: phones, ToppedUp: morePhones,
			Sold: soldPhones, Unsold: phones + morePhones - soldPhones,
		},
		sale.Total{SKU: e.cover, Allocated: cases, Sold: soldCases, Unsold: cases - soldCases},
	))
	Expect(e.shop.levels(ctx, e.phone)).To(Equal(stock.Levels{Available: stocked - soldPhones, Reserved: soldPhones}))
	Expect(e.shop.levels(ctx, e.cover)).To(Equal(stock.Levels{Available: stocked - soldCases, Reserved: soldCases}))
	var orders int
	const ours = "SELECT count(*) FROM orders WHERE promotion_uid = $1"
	Expect(e.shop.pool.QueryRow(ctx, ours, e.promo.GetUid()).Scan(&orders)).To(Succeed())
	Expect(orders).To(Equal(soldPhones + soldCases))
}
