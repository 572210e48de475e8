package standard_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// run runs a worker until the spec ends.
func run(worker interface{ Run(context.Context) error }) {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	DeferCleanup(func() {
		cancel()
		Eventually(done).WithTimeout(patience).Should(Receive(Succeed()))
	})
}

func (s *shop) workerOptions(name string) order.WorkerOptions {
	return order.WorkerOptions{Store: s.pod.orders, WorkerOptions: lease.WorkerOptions{
		Worker: name, Interval: 20 * time.Millisecond, TTL: 2 * time.Second, Logger: slog.New(slog.DiscardHandler),
	}}
}

func (s *shop) expirer() *order.Expirer {
	GinkgoHelper()
	e, err := order.NewExpirer(s.workerOptions("expirer"))
	Expect(err).NotTo(HaveOccurred())
	return e
}

var _ = Describe("The expirer", func() {
	It("cancels what was not paid in time, and nothing else", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 100)
		var unpaid []*orderv1.Order
		for i := range 20 {
			unpaid = append(unpaid, s.place(ctx, fmt.Sprintf("b%d", i), "tea", 2))
		}
		bought := s.place(ctx, "ann", "tea", 1)
		Expect(pay(ctx, s.charge(ctx, bought).GetRedirectUrl())).To(Equal(200))
		s.clock.advance(paymentTimeout + time.Second)
		young := s.place(ctx, "ann", "tea", 3)
		run(s.expirer())
		for _, o := range unpaid {
			Eventually(func() orderv1.OrderState { return s.state(ctx, o) }).WithTimeout(patience).Should(Equal(cancelled))
		}
		Expect(s.state(ctx, bought)).To(Equal(paid))
		Expect(s.state(ctx, young)).To(Equal(orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 96, Reserved: 3, Deducted: 1}))
		Expect(s.count(ctx, "orders", "cancel_reason = 'EXPIRED'")).To(Equal(int64(20)))
		Expect(s.count(ctx, "outbox", "event = 'cancelled'")).To(Equal(int64(20)))
	})

	It("does not let one order that it cannot expire stop the others", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 100)
		s.sell(ctx, "cup", 100)
		s.place(ctx, "ann", "cup", 1)
		_, err := s.pool.Exec(ctx, "UPDATE stock SET reserved = 0 WHERE sku = 'cup'")
		Expect(err).NotTo(HaveOccurred())
		for i := range 40 {
			s.place(ctx, fmt.Sprintf("b%d", i), "tea", 1)
		}
		s.clock.advance(paymentTimeout + time.Second)
		run(s.expirer())
		Eventually(
			func() stock.Levels { return s.levels(ctx, "tea") },
		).WithTimeout(patience).Should(Equal(stock.Levels{Available: 100}))
		Expect(s.count(ctx, "orders", "state = 'PENDING_PAYMENT'")).To(Equal(int64(1)))
	})

	It("goes on after the database was away", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		o := s.place(ctx, "ann", "tea", 2)
		through := newProxy(s.databaseURL)
		behind, err := startPod(through.url, podOptions{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(behind.stop)
		options := s.workerOptions("behind")
		options.Store = behind.orders
		e, err := order.NewExpirer(options)
		Expect(err).NotTo(HaveOccurred())
		run(e)
		Eventually(
			func() int64 { return s.count(ctx, "leases", "owner = 'behind'") },
		).WithTimeout(patience).Should(Equal(int64(lease.Buckets)))
		through.cut()
		behind.clock.advance(paymentTimeout + time.Second)
		Consistently(
			func() orderv1.OrderState { return s.state(ctx, o) },
		).WithTimeout(300 * time.Millisecond).Should(Equal(orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT))
		through.mend()
		Eventually(func() orderv1.OrderState { return s.state(ctx, o) }).WithTimeout(patience).Should(Equal(cancelled))
	})
})

// partition answers releases as a sale would; it is the flash lane's side, which has tests of its
// own.
type partition struct {
	mu     sync.Mutex
	closed bool
	fails  int
	asked  map[uuid.UUID]int
}

func (p *partition) Release(
	_ context.Context, _, _ string, id uuid.UUID, _ flashv1.ReleaseReason,
) (flashv1.ReleaseOutcome, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == nil {
		p.asked = map[uuid.UUID]int{}
	}
	p.asked[id]++
	switch {
	case p.fails > 0:
		p.fails--
		return 0, errors.New("no owner answers")
	case p.closed:
		return flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED, nil
	}
	return flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED, nil
}

const sale = "5f0c1c0e-sale"

// accept is an order of the flash lane, bought now.
func (s *shop) accept(buyer string, quantity int64) order.Accepted {
	now := s.clock.now()
	return order.Accepted{
		OrderID: uuid.New(), BuyerID: buyer, RequestID: "r", PromotionUID: sale, Promotion: "summer", Currency: "CNY",
		Items:      []order.AcceptedItem{{SKU: "tea", Quantity: quantity, UnitPrice: 99}},
		AcceptedAt: now, ExpiresAt: now.Add(5 * time.Minute),
	}
}

func (s *shop) flashOrder(ctx context.Context, a order.Accepted) *orderv1.Order {
	GinkgoHelper()
	answer, err := s.clients.orders.GetOrder(ctx,
		&orderv1.GetOrderRequest{BuyerId: a.BuyerID, OrderId: a.OrderID.String()})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetOrder()
}

func (s *shop) sold(ctx context.Context) []stock.Quantity {
	GinkgoHelper()
	sold, err := order.SoldInPromotion(ctx, s.pool, sale)
	Expect(err).NotTo(HaveOccurred())
	return sold
}

func tea(n int64) []stock.Quantity { return []stock.Quantity{{SKU: "tea", Quantity: n}} }

var _ = Describe("Flash orders in the database", func() {
	It("are written once each, whatever is repeated, and can be paid", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 10)
		Expect(stock.Allocate(ctx, s.pool, sale, tea(6))).To(Succeed())
		a, b := s.accept("ann", 2), s.accept("bob", 1)
		Expect(s.pod.orders.Materialize(ctx, []order.Accepted{a, a})).To(Succeed())
		Expect(s.pod.orders.Materialize(ctx, []order.Accepted{b, a})).To(Succeed())
		Expect(s.count(ctx, "orders", "true")).To(Equal(int64(2)))
		Expect(s.count(ctx, "order_lines", "true")).To(Equal(int64(2)))
		Expect(s.count(ctx, "outbox", "event = 'placed'")).To(Equal(int64(2)))
		o := s.flashOrder(ctx, a)
		Expect(o.GetTotal().GetAmount()).To(Equal(int64(198)))
		Expect(o.GetPromotion()).To(Equal("summer"))
		Expect(o.GetLines()[0].GetTitle()).To(Equal("A tea"))
		Expect(pay(ctx, s.charge(ctx, o).GetRedirectUrl())).To(Equal(200))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 4, Reserved: 4, Deducted: 2}))
		Expect(s.sold(ctx)).To(Equal(tea(3)))
		Expect(stock.ReturnUnsold(ctx, s.pool, sale, tea(3))).To(Succeed())
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 7, Reserved: 1, Deducted: 2}))
	})

	It("are refused as a whole if one cannot be written", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 10)
		bad := s.accept("bob", 1)
		bad.Items[0].SKU = "ghost"
		Expect(s.pod.orders.Materialize(ctx, []order.Accepted{s.accept("ann", 1), bad})).NotTo(Succeed())
		Expect(s.count(ctx, "orders", "true")).To(BeZero())
	})

	It("give their stock back into the sale while it is open", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 10)
		Expect(stock.Allocate(ctx, s.pool, sale, tea(6))).To(Succeed())
		a, b := s.accept("ann", 2), s.accept("bob", 1)
		Expect(s.pod.orders.Materialize(ctx, []order.Accepted{a, b})).To(Succeed())
		s.cancel(ctx, s.flashOrder(ctx, a))
		Expect(order.PendingReleases(ctx, s.pool, sale)).To(Equal(int64(1)))
		Expect(s.sold(ctx)).To(Equal(tea(3)))
		flash := &partition{fails: 2}
		releaser, err := order.NewReleaser(order.ReleaserOptions{Worker: s.workerOptions("releaser"), Flash: flash})
		Expect(err).NotTo(HaveOccurred())
		run(releaser)
		Eventually(
			func() (int64, error) { return order.PendingReleases(ctx, s.pool, sale) },
		).WithTimeout(patience).Should(BeZero())
		Expect(flash.asked[a.OrderID]).To(Equal(3))
		Expect(s.sold(ctx)).To(Equal(tea(1)))
		By("moving nothing in the database: the sale has it")
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 4, Reserved: 6}))
	})

	It("give their stock back to the SKU, once, after the sale was closed", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 10)
		Expect(stock.Allocate(ctx, s.pool, sale, tea(6))).To(Succeed())
		a, b := s.accept("ann", 2), s.accept("bob", 1)
		Expect(s.pod.orders.Materialize(ctx, []order.Accepted{a, b})).To(Succeed())
		Expect(stock.ReturnUnsold(ctx, s.pool, sale, tea(3))).To(Succeed())
		s.clock.advance(6 * time.Minute)
		run(s.expirer())
		flash := &partition{closed: true}
		for _, name := range []string{"one", "two"} {
			releaser, err := order.NewReleaser(order.ReleaserOptions{Worker: s.workerOptions(name), Flash: flash})
			Expect(err).NotTo(HaveOccurred())
			run(releaser)
		}
		Eventually(
			func() stock.Levels { return s.levels(ctx, "tea") },
		).WithTimeout(patience).Should(Equal(stock.Levels{Available: 10}))
		Expect(s.count(ctx, "flash_releases", "outcome = 'CREDITED' AND reason = 'EXPIRED'")).To(Equal(int64(2)))
		Expect(s.sold(ctx)).To(Equal(tea(3)), "what was sold when the sale closed stays so")
	})

	It("take the shop's stock when they are paid after they expired", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 10)
		Expect(stock.Allocate(ctx, s.pool, sale, tea(6))).To(Succeed())
		a := s.accept("ann", 2)
		Expect(s.pod.orders.Materialize(ctx, []order.Accepted{a})).To(Succeed())
		o := s.flashOrder(ctx, a)
		n := s.notification(s.charge(ctx, o).GetPayment())
		s.cancel(ctx, o)
		Expect(s.send(ctx, s.url, n)).To(Equal(204))
		Expect(s.state(ctx, o)).To(Equal(paid))
		flash := &partition{}
		releaser, err := order.NewReleaser(order.ReleaserOptions{Worker: s.workerOptions("releaser"), Flash: flash})
		Expect(err).NotTo(HaveOccurred())
		run(releaser)
		Eventually(
			func() (int64, error) { return order.PendingReleases(ctx, s.pool, sale) },
		).WithTimeout(patience).Should(BeZero())
		By("so that the sale's part in the log comes back whole")
		Expect(s.sold(ctx)).To(BeEmpty())
		Expect(stock.ReturnUnsold(ctx, s.pool, sale, tea(6))).To(Succeed())
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 8, Deducted: 2}))
	})
})
