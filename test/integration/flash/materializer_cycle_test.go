package flash_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/client"
	flashpod "github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

const (
	cycleStock  = 60
	cycleShelf  = 15
	cycleLimit  = 3
	cycleBuyers = 30
	cycleSteps  = 250
)

// cycle is a sale with everything that happens to its orders: bought, repeated, paid, expired, paid
// too late, refused by the database, released while partitions move and after the sale was closed.
type cycle struct {
	*lane
	random *rand.Rand
	pods   []*pod
	made   int
	// catalogued tells whether b can be written.
	catalogued bool
}

func (c *cycle) newPod() *pod {
	GinkgoHelper()
	c.made++
	return startPod(c.js, fmt.Sprint("pod-", c.made), nil)
}

// buy has some buyers order at once, each repeating the request as often as it takes.
func (c *cycle) buy(ctx context.Context, step int) {
	GinkgoHelper()
	pods := append([]*pod(nil), c.pods...)
	var group sync.WaitGroup
	for i := range 1 + c.random.IntN(6) {
		r := request(c.p, fmt.Sprint("buyer-", c.random.IntN(cycleBuyers)), fmt.Sprint("r-", step, "-", i),
			[]string{"a", "b"}[c.random.IntN(2)], 1+c.random.Int64N(2))
		group.Go(func() {
			defer GinkgoRecover()
			insist(ctx, func(attempt int) *flashpod.Service { return pods[(i+attempt)%len(pods)].Service }, r)
		})
	}
	group.Wait()
}

// pick is one of the orders in a state; false if there is none.
func (c *cycle) pick(ctx context.Context, state string) (uuid.UUID, bool) {
	GinkgoHelper()
	rows, err := c.pool.Query(ctx, "SELECT order_id FROM orders WHERE state = $1 AND promotion_uid = $2 ORDER BY order_id",
		state, c.p.Uid)
	Expect(err).NotTo(HaveOccurred())
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	Expect(err).NotTo(HaveOccurred())
	if len(ids) == 0 {
		return uuid.Nil, false
	}
	return ids[c.random.IntN(len(ids))], true
}

// pay has a payment succeed, for an order that may be cancelled.
func (c *cycle) pay(ctx context.Context, id uuid.UUID) {
	GinkgoHelper()
	Expect(database.ExecuteTx(ctx, c.pool, func(tx *database.Tx) error {
		_, err := c.store.MarkPaid(ctx, tx, time.Now(), []order.Payment{{OrderID: id, PaymentID: uuid.New(), Actor: "test"}})
		return err
	})).To(Succeed())
}

func (c *cycle) step(ctx context.Context, step int) {
	GinkgoHelper()
	switch n := c.random.IntN(20); {
	case n < 9:
		c.buy(ctx, step)
	case n < 13:
		if id, ok := c.pick(ctx, "PENDING_PAYMENT"); ok {
			c.expire(ctx, id)
		}
	case n < 16:
		if id, ok := c.pick(ctx, "PENDING_PAYMENT"); ok {
			c.pay(ctx, id)
		}
	case n < 17:
		if id, ok := c.pick(ctx, "CANCELLED"); ok {
			c.pay(ctx, id)
		}
	case n < 18:
		if c.catalogued {
			_, err := c.pool.Exec(ctx, "DELETE FROM skus WHERE sku = 'b'")
			Expect(err).NotTo(HaveOccurred())
		} else {
			c.catalogue(ctx, "b")
		}
		c.catalogued = !c.catalogued
	case n < 19 && step%3 == 0:
		By("replacing a pod, so that its partitions move")
		gone := c.pods[0]
		c.pods = append(c.pods[1:], c.newPod())
		gone.stop()
	}
}

// router releases through the pod that was started last.
type router struct {
	client atomic.Pointer[client.Releaser]
}

func (r *router) use(p *pod) { r.client.Store(client.NewReleaser("http://" + p.address)) }

func (r *router) Release(
	ctx context.Context, promotionUID, buyerID string, orderID uuid.UUID, reason flashv1.ReleaseReason,
) (flashv1.ReleaseOutcome, error) {
	return r.client.Load().Release(ctx, promotionUID, buyerID, orderID, reason)
}

// expectLimits replays the logs: no buyer has more than the limit at any record.
func (c *cycle) expectLimits(ctx context.Context) {
	GinkgoHelper()
	type key struct{ buyer, sku string }
	for n := range c.p.Partitions {
		bought := map[key]int64{}
		reserved := map[string]*flashv1.Reservation{}
		eachRecord(ctx, c.js, c.p, n, func(r *flashv1.Record) {
			for _, o := range r.GetReserved().GetReservations() {
				reserved[string(o.OrderId)] = o
				for _, item := range o.Items {
					bought[key{o.BuyerId, item.Sku}] += item.Quantity
					Expect(bought[key{o.BuyerId, item.Sku}]).To(BeNumerically("<=", cycleLimit))
				}
			}
			for _, released := range r.GetReleased().GetOrders() {
				o := reserved[string(released.OrderId)]
				Expect(o).NotTo(BeNil(), "released twice, or never reserved")
				delete(reserved, string(released.OrderId))
				for _, item := range o.Items {
					bought[key{o.BuyerId, item.Sku}] -= item.Quantity
				}
			}
		})
	}
}

// expectStock compares the shelf with the orders: what unpaid ones hold is reserved, what paid ones
// hold is deducted, and the rest can be ordered.
func (c *cycle) expectStock(ctx context.Context) {
	GinkgoHelper()
	for _, sku := range []string{"a", "b"} {
		held := map[string]int64{}
		rows, err := c.pool.Query(
			ctx,
			"SELECT o.state, sum(l.quantity)::bigint FROM orders o JOIN order_lines l ON l.order_id = o.order_id WHERE l.sku = $1 GROUP BY o.state",
			sku,
		)
		Expect(err).NotTo(HaveOccurred())
		var state string
		var units int64
		_, err = pgx.ForEachRow(rows, []any{&state, &units}, func() error {
			held[state] = units
			return nil
		})
		Expect(err).NotTo(HaveOccurred())
		levels, err := stock.Get(ctx, c.pool, sku)
		Expect(err).NotTo(HaveOccurred())
		Expect(levels).To(Equal(stock.Levels{
			Available: cycleStock + cycleShelf - held["PENDING_PAYMENT"] - held["PAID"],
			Reserved:  held["PENDING_PAYMENT"],
			Deducted:  held["PAID"],
		}), sku)
	}
}

var _ = DescribeTable("Stock, limits and database agree after a whole sale",
	func(ctx SpecContext, seed uint64) {
		if seed == 0 {
			seed = uint64(GinkgoRandomSeed())
		}
		GinkgoWriter.Println("seed", seed)
		items := []prepare.Item{{SKU: "a", Quantity: cycleStock}, {SKU: "b", Quantity: cycleStock}}
		c := &cycle{lane: newLane(ctx, 4, cycleLimit, items...), random: rand.New(rand.NewPCG(seed, 1)), catalogued: true}
		for _, item := range items {
			Expect(database.ExecuteTx(ctx, c.pool, func(tx *database.Tx) error {
				return stock.Apply(ctx, tx,
					[]stock.Movement{stock.Add("shelf", stock.Quantity{SKU: item.SKU, Quantity: cycleShelf})})
			})).To(Succeed())
		}
		c.pods = []*pod{c.newPod(), c.newPod()}
		ready(c.pods...)
		for range 2 {
			c.materialize(c.store)
		}
		through := &router{}
		through.use(c.pods[1])
		for _, name := range []string{"one", "two"} {
			background(c.releaser(name, through).Run)
		}
		for step := range cycleSteps {
			last := c.pods[len(c.pods)-1]
			c.step(ctx, step)
			if now := c.pods[len(c.pods)-1]; now != last {
				through.use(now)
			}
		}
		By("closing the sale with orders unwritten and unreleased")
		totals := c.close(ctx)
		c.drained(ctx)
		for range 20 {
			if id, ok := c.pick(ctx, "PENDING_PAYMENT"); ok {
				c.expire(ctx, id)
			}
		}
		c.released(ctx)
		c.expectProved(ctx)
		c.expectLimits(ctx)
		Expect(c.sale().ReturnUnsold(ctx, totals)).To(Succeed())
		c.expectStock(ctx)

		By("having each order of the log either written or refused")
		written, dead := c.written(ctx), c.dead(ctx)
		inLog := 0
		for sku, ids := range c.inLog(ctx) {
			for _, id := range ids {
				inLog++
				got, there := written[id]
				_, refused := dead[id.String()]
				Expect(there).NotTo(Equal(refused))
				Expect(!there || got == sku).To(BeTrue())
			}
		}
		Expect(written).To(HaveLen(inLog - len(dead)))
		GinkgoWriter.Println("orders", inLog, "refused", len(dead))
		Expect(inLog).To(BeNumerically(">", 50))
	},
	Entry("seed 1", uint64(1)), Entry("seed 2", uint64(2)), Entry("a seed of the day", uint64(0)),
)
