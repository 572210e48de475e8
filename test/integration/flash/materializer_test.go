package flash_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/materializer"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// outage is a database that is away for the first transactions.
type outage struct {
	*order.Store
	left atomic.Int64
}

func (o *outage) Materialize(ctx context.Context, accepted []order.Accepted) error {
	if o.left.Add(-1) >= 0 {
		return errors.New("the database is away")
	}
	return o.Store.Materialize(ctx, accepted)
}

var _ = Describe("The materializer", func() {
	var (
		server *testnats.Server
		js     jetstream.JetStream
		p      *flashv1.Promotion
		url    string
		pool   *pgxpool.Pool
		store  *order.Store
	)

	BeforeEach(func(ctx SpecContext) {
		server = newServer()
		js = server.JetStream(GinkgoTB())
		var items []prepare.Item
		p, items = promotionOf(1, 1000)
		open(ctx, js, p, items...)
		url = testdb.NewMigrated(GinkgoTB())
		var err error
		pool, err = database.Open(ctx, url, 8)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(pool.Close)
		store, err = order.NewStore(
			order.Options{Pool: pool, Clock: time.Now, Logger: logger(), Registerer: prometheus.NewRegistry()},
		)
		Expect(err).NotTo(HaveOccurred())
		_, err = catalog.NewService(
			catalog.Options{Pool: pool, Clock: time.Now},
		).UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
			Sku: "a", Title: "A", Price: &moneyv1.Money{Amount: 100, Currency: "EUR"}, OnSale: true,
		}})
		Expect(err).NotTo(HaveOccurred())
	})

	// expectAll waits until the stream is drained, and compares the database with the log.
	expectAll := func(ctx context.Context, want int) {
		GinkgoHelper()
		Eventually(prepare.Drained).WithArguments(ctx, js, p).WithTimeout(drainTimeout).Should(BeTrue())
		inLog := orders(ctx, js, p)
		Expect(inLog).To(HaveLen(want))
		rows, err := pool.Query(ctx, "SELECT order_id, buyer_id FROM orders")
		Expect(err).NotTo(HaveOccurred())
		type row struct {
			ID    uuid.UUID
			Buyer string
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(want))
		for _, r := range found {
			Expect(orderIDOf(inLog[r.Buyer+"/r"])).To(Equal(r.ID.String()))
		}
		var events int
		Expect(pool.QueryRow(ctx, "SELECT count(*) FROM outbox").Scan(&events)).To(Succeed())
		Expect(events).To(Equal(want))
	}

	sell := func(ctx context.Context, from, to int) {
		GinkgoHelper()
		o := run(newOwner(js, p, "pod-a", nil))
		var group sync.WaitGroup
		for i := from; i < to; i++ {
			group.Go(func() {
				defer GinkgoRecover()
				Expect(insistOn(ctx, []*owner.Owner{o}, 0, childRequest(p, i)).order).NotTo(BeEmpty())
			})
		}
		group.Wait()
		o.Stop()
		Eventually(o.Done()).Should(BeClosed())
	}

	start := func(writer materializer.Writer) (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		run := newMaterializer(js, writer, logger())
		var group sync.WaitGroup
		group.Go(func() {
			defer GinkgoRecover()
			Expect(run(ctx)).To(Succeed())
		})
		stop = sync.OnceFunc(func() {
			cancel()
			group.Wait()
		})
		DeferCleanup(stop)
		return stop
	}

	It("writes every order once, and follows a sale that goes on", func(ctx SpecContext) {
		sell(ctx, 0, 150)
		start(store)
		expectAll(ctx, 150)
		sell(ctx, 150, 200)
		expectAll(ctx, 200)
	})

	It("writes every order once when two workers run and one leaves", func(ctx SpecContext) {
		stop := start(store)
		start(store)
		sell(ctx, 0, 100)
		stop()
		sell(ctx, 100, 150)
		expectAll(ctx, 150)
	})

	It("outlasts a database that is away", func(ctx SpecContext) {
		writer := &outage{Store: store}
		writer.left.Store(5)
		start(writer)
		sell(ctx, 0, 50)
		expectAll(ctx, 50)
		Expect(writer.left.Load()).To(BeNumerically("<", 0))
	})

	It("writes every order once when it is killed between commit and acknowledgement", func(ctx SpecContext) {
		sell(ctx, 0, 80)
		By("having the server give a dead worker's records to another one soon")
		stream, err := js.Stream(ctx, p.Streams[0])
		Expect(err).NotTo(HaveOccurred())
		consumer, err := stream.Consumer(ctx, prepare.MaterializerConsumer)
		Expect(err).NotTo(HaveOccurred())
		config := consumer.CachedInfo().Config
		config.AckWait = time.Second
		_, err = stream.UpdateConsumer(ctx, config)
		Expect(err).NotTo(HaveOccurred())

		runChild(ctx, childMaterializer, server.URL(), p, url)

		var committed int
		Expect(pool.QueryRow(ctx, "SELECT count(*) FROM orders").Scan(&committed)).To(Succeed())
		Expect(committed).To(BeNumerically(">", 0))
		Expect(prepare.Drained(ctx, js, p)).To(BeFalse())
		start(store)
		expectAll(ctx, 80)
	})

	It("survives a restart of NATS", func(ctx SpecContext) {
		start(store)
		sell(ctx, 0, 50)
		expectAll(ctx, 50)
		server.Restart()
		sell(ctx, 50, 80)
		expectAll(ctx, 80)
	})
})

// promotionOf one item called a, without a limit per buyer.
func promotionOf(partitions int32, stock int64) (*flashv1.Promotion, []prepare.Item) {
	items := []prepare.Item{{SKU: "a", Quantity: stock}}
	return newPromotion(partitions, 0, items...), items
}

func orderIDOf(r *flashv1.Reservation) string {
	GinkgoHelper()
	id, err := uuid.FromBytes(r.GetOrderId())
	Expect(err).NotTo(HaveOccurred(), fmt.Sprint("order of ", r.GetRequestId()))
	return id.String()
}
