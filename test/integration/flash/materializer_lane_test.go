package flash_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	deadletterv1 "github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/client"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/deadletter"
	"github.com/orderd-dev/orderd/orderd/shop/materializer"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// lane is a flash lane with its database: everything that comes behind a sale.
type lane struct {
	server  *testnats.Server
	js      jetstream.JetStream
	p       *flashv1.Promotion
	items   []prepare.Item
	url     string
	pool    *pgxpool.Pool
	store   *order.Store
	letters *deadletter.Service
}

// newLane has a promotion of the items, whose stock is allocated and opened.
func newLane(ctx context.Context, partitions int32, limit int64, items ...prepare.Item) *lane {
	GinkgoHelper()
	l := &lane{server: newServer(), items: items, url: testdb.NewMigrated(GinkgoTB())}
	l.js = l.server.JetStream(GinkgoTB())
	var err error
	l.pool, err = database.Open(ctx, l.url, 16)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.pool.Close)
	l.store, err = order.NewStore(
		order.Options{Pool: l.pool, Clock: time.Now, Logger: logger(), Registerer: prometheus.NewRegistry()},
	)
	Expect(err).NotTo(HaveOccurred())
	l.letters = deadletter.NewService(
		deadletter.Options{JetStream: l.js, Replicas: 1, Pool: l.pool, Clock: time.Now, Logger: logger()},
	)
	l.p = newPromotion(partitions, limit, items...)
	for _, item := range items {
		l.stock(ctx, item.SKU, item.Quantity)
	}
	Expect(prepareAndPublish(ctx, l.sale())).To(Succeed())
	return l
}

// sale of the lane's promotion, as it is now.
func (l *lane) sale() *sale.Sale { return saleOf(l.js, l.pool, l.p, l.items) }

// close ends the promotion's partitions and returns what they hold.
func (l *lane) close(ctx context.Context) []sale.Total {
	GinkgoHelper()
	totals, err := l.sale().ClosePartitions(ctx)
	Expect(err).NotTo(HaveOccurred())
	return totals
}

// stock puts a SKU into the catalog and on the shelf.
func (l *lane) stock(ctx context.Context, sku string, quantity int64) {
	GinkgoHelper()
	l.catalogue(ctx, sku)
	Expect(database.ExecuteTx(ctx, l.pool, func(tx *database.Tx) error {
		if err := stock.Create(ctx, tx, sku); err != nil {
			return err
		}
		return stock.Apply(ctx, tx, []stock.Movement{stock.Add("stocked", stock.Quantity{SKU: sku, Quantity: quantity})})
	})).To(Succeed())
}

func (l *lane) catalogue(ctx context.Context, sku string) {
	GinkgoHelper()
	_, err := l.pool.Exec(ctx,
		"INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at) VALUES ($1, $1, 100, 'EUR', true, now())",
		sku)
	Expect(err).NotTo(HaveOccurred())
}

// sell places one order of a unit for each of so many buyers, of the SKU that of gives, with
// an owner of its own.
func (l *lane) sell(ctx context.Context, buyers int, of func(i int) string) {
	GinkgoHelper()
	Expect(l.p.Partitions).To(BeEquivalentTo(1), "there is one owner")
	owners := []*owner.Owner{run(newOwner(l.js, l.p, "pod-a", nil))}
	var group sync.WaitGroup
	for i := range buyers {
		group.Go(func() {
			defer GinkgoRecover()
			Expect(insistOn(ctx, owners, 0, request(l.p, fmt.Sprint("buyer-", i), "r", of(i), 1)).order).NotTo(BeEmpty())
		})
	}
	group.Wait()
	owners[0].Stop()
	Eventually(owners[0].Done()).Should(BeClosed())
}

// background runs something until stop or the test's end.
func background(work func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		defer GinkgoRecover()
		Expect(work(ctx)).To(Succeed())
	})
	stop = sync.OnceFunc(func() {
		cancel()
		group.Wait()
	})
	DeferCleanup(stop)
	return stop
}

func (l *lane) materialize(writer materializer.Writer) (stop func()) {
	return background(newMaterializer(l.js, writer, logger()))
}

// release runs a releaser that asks a pod.
func (l *lane) release(p *pod) {
	GinkgoHelper()
	background(l.releaser("releaser", client.NewReleaser("http://"+p.address)).Run)
}

func (l *lane) releaser(name string, client order.FlashReleaser) *order.Releaser {
	GinkgoHelper()
	r, err := order.NewReleaser(order.ReleaserOptions{
		Worker: order.WorkerOptions{
			Store: l.store,
			WorkerOptions: lease.WorkerOptions{
				Worker:   name,
				Interval: 20 * time.Millisecond,
				TTL:      time.Second,
				Logger:   logger(),
			},
		},
		Flash: client,
	})
	Expect(err).NotTo(HaveOccurred())
	return r
}

// drainTimeout is well above what the server waits for a worker that left with a record.
const drainTimeout = time.Minute

func (l *lane) drained(ctx context.Context) {
	GinkgoHelper()
	Eventually(prepare.Drained).WithArguments(ctx, l.js, l.p).WithTimeout(drainTimeout).Should(BeTrue())
}

// released waits until no release is pending.
func (l *lane) released(ctx context.Context) {
	GinkgoHelper()
	Eventually(order.PendingReleases).WithArguments(ctx, l.pool, l.p.Uid).Should(BeZero())
}

// written are the orders in the database, and their one line's SKU.
func (l *lane) written(ctx context.Context) map[uuid.UUID]string {
	GinkgoHelper()
	rows, err := l.pool.Query(ctx, "SELECT o.order_id, l.sku FROM orders o JOIN order_lines l ON l.order_id = o.order_id")
	Expect(err).NotTo(HaveOccurred())
	out := map[uuid.UUID]string{}
	var id uuid.UUID
	var sku string
	_, err = pgx.ForEachRow(rows, []any{&id, &sku}, func() error {
		out[id] = sku
		return nil
	})
	Expect(err).NotTo(HaveOccurred())
	return out
}

// dead are the materializer's dead letters, by event id.
func (l *lane) dead(ctx context.Context) map[string]*deadletterv1.DeadLetter {
	GinkgoHelper()
	out := map[string]*deadletterv1.DeadLetter{}
	token := ""
	for {
		page, err := l.letters.ListDeadLetters(ctx,
			&deadletterv1.ListDeadLettersRequest{Consumer: prepare.MaterializerConsumer, PageSize: 100, PageToken: token})
		Expect(err).NotTo(HaveOccurred())
		for _, letter := range page.GetDeadLetters() {
			Expect(out).NotTo(HaveKey(letter.GetEventId()))
			out[letter.GetEventId()] = letter
		}
		if token = page.GetNextPageToken(); token == "" {
			return out
		}
	}
}

// inLog are the ids of the orders in the log, by their first item's SKU.
func (l *lane) inLog(ctx context.Context) (ids map[string][]uuid.UUID) {
	GinkgoHelper()
	ids = map[string][]uuid.UUID{}
	for _, r := range orders(ctx, l.js, l.p) {
		id, err := uuid.FromBytes(r.GetOrderId())
		Expect(err).NotTo(HaveOccurred())
		ids[r.GetItems()[0].GetSku()] = append(ids[r.GetItems()[0].GetSku()], id)
	}
	return ids
}

// expectProved compares what the database has sold with what the log has.
func (l *lane) expectProved(ctx context.Context) {
	GinkgoHelper()
	Expect(l.sale().Prove(ctx, slices.Collect(maps.Values(sales(ctx, l.js, l.p))))).To(Succeed())
}

// expectLevels are a SKU's units that may be ordered and those that unpaid orders hold.
func (l *lane) expectLevels(ctx context.Context, sku string, available, reserved int64) {
	GinkgoHelper()
	levels, err := stock.Get(ctx, l.pool, sku)
	Expect(err).NotTo(HaveOccurred())
	Expect(levels).To(Equal(stock.Levels{Available: available, Reserved: reserved}), sku)
}
