package sale_test

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

var _ = Describe("A sale's steps", Ordered, func() {
	var s *shop
	BeforeAll(func(ctx SpecContext) { s = newShop(ctx) })

	It("take nothing at all where the shop has too little of one item", func(ctx SpecContext) {
		e := s.newEvent(ctx)
		err := e.runner(stocked+7, nil).Prepare(ctx)
		var insufficient *sale.InsufficientError
		Expect(errors.As(err, &insufficient)).To(BeTrue(), "%v", err)
		Expect(insufficient.Missing).To(Equal([]sale.Quantity{{SKU: e.phone, Quantity: 7}}))
		for _, sku := range []string{e.phone, e.cover} {
			Expect(s.levels(ctx, sku)).To(Equal(stock.Levels{Available: stocked}))
		}
		_, err = s.js.Stream(ctx, e.promo.GetStreams()[0])
		Expect(err).To(MatchError(jetstream.ErrStreamNotFound))
	}, SpecTimeout(time.Minute))

	It("add what there is enough of, tell the pods, and add the rest once it is there", func(ctx SpecContext) {
		e := s.newEvent(ctx)
		Expect(e.runner(phones, nil).Prepare(ctx)).To(Succeed())
		more := func() *sale.Sale {
			return sale.New(sale.Options{
				Promotion: e.promo,
				Items:     []sale.Quantity{{SKU: e.phone, Quantity: stocked + 1}, {SKU: e.cover, Quantity: cases + 1}},
				Database:  sale.Opened(s.pool), JetStream: sale.Opened(s.js), Replicas: 1, Actor: "test",
			})
		}
		short := more()
		var insufficient *sale.InsufficientError
		err := short.TopUp(ctx)
		Expect(errors.As(err, &insufficient)).To(BeTrue(), "%v", err)
		Expect(skusOf(short.Promotion())).To(Equal([]string{e.cover}))
		Expect(s.levels(ctx, e.phone)).To(Equal(stock.Levels{Available: stocked - phones, Reserved: phones}))
		_, err = short.Publish(ctx)
		Expect(err).NotTo(HaveOccurred())

		s.put(ctx, e.phone, 1)
		enough := more()
		Expect(enough.TopUp(ctx)).To(Succeed())
		Expect(skusOf(enough.Promotion())).To(Equal([]string{e.cover, e.phone}))
		told, err := enough.Publish(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(skusOf(told)).To(Equal([]string{e.cover}), "what the pods were told before")
		Expect(s.levels(ctx, e.phone)).To(Equal(stock.Levels{Reserved: stocked + 1}))
	}, SpecTimeout(time.Minute))

	It("prove nothing while the log may know of a release that the database does not", func(ctx SpecContext) {
		e := s.newEvent(ctx)
		r := e.runner(phones, nil)
		Expect(r.Prepare(ctx)).To(Succeed())
		Expect(r.Publish(ctx)).To(Succeed())
		e.buy(ctx)
		Eventually(r.Sale.Drained).WithArguments(ctx).Should(BeTrue())
		prove := func() error {
			totals, err := r.Sale.Totals(ctx)
			Expect(err).NotTo(HaveOccurred())
			return r.Sale.Prove(ctx, totals)
		}
		Expect(prove()).To(Succeed())

		By("cancelling an order, whose release lands in the log first")
		var id uuid.UUID
		var buyer string
		const first = "SELECT order_id, buyer_id FROM orders WHERE promotion_uid = $1 ORDER BY order_id LIMIT 1"
		Expect(s.pool.QueryRow(ctx, first, e.promo.GetUid()).Scan(&id, &buyer)).To(Succeed())
		orders := order.NewService(order.ServiceOptions{Store: s.store, PaymentTimeout: time.Hour})
		_, err := orders.CancelOrder(ctx, &orderv1.CancelOrderRequest{
			RequestId: uuid.NewString(), BuyerId: buyer, OrderId: id.String(),
		})
		Expect(err).NotTo(HaveOccurred())
		e.release(ctx, id)
		var releasing *sale.ReleasingError
		err = prove()
		Expect(errors.As(err, &releasing)).To(BeTrue(), "%v", err)
		Expect(releasing.Orders).To(BeEquivalentTo(1))

		By("having the database learn of it")
		_, err = s.pool.Exec(ctx, "UPDATE flash_releases SET outcome = 'RELEASED' WHERE order_id = $1", id)
		Expect(err).NotTo(HaveOccurred())
		Expect(prove()).To(Succeed())

		By("losing an order in the database")
		const lose = "UPDATE orders SET promotion_uid = 'another' WHERE promotion_uid = $1 AND order_id <> $2"
		_, err = s.pool.Exec(ctx, lose, e.promo.GetUid(), id)
		Expect(err).NotTo(HaveOccurred())
		var violation *sale.ViolationError
		err = prove()
		Expect(errors.As(err, &violation)).To(BeTrue(), "%v", err)
		Expect(violation.Where).To(Equal(sale.DatabaseMismatch))
	}, SpecTimeout(time.Minute))
})

// release an order, by a record as its partition's owner appends it.
func (e *event) release(ctx context.Context, id uuid.UUID) {
	GinkgoHelper()
	log := plog.New(e.shop.js, e.promo)
	n := int32(firstPhones)
	var sku string
	Expect(e.shop.pool.QueryRow(ctx, "SELECT sku FROM order_lines WHERE order_id = $1", id).Scan(&sku)).To(Succeed())
	if sku == e.cover {
		n = firstCases
	}
	last, err := log.Last(ctx, n)
	Expect(err).NotTo(HaveOccurred())
	_, err = log.Append(ctx, plog.Entry{Partition: n, Expected: last, Record: &flashv1.Record{
		Kind: &flashv1.Record_Released{Released: &flashv1.Released{Orders: []*flashv1.ReleasedOrder{{OrderId: id[:]}}}},
	}})
	Expect(err).NotTo(HaveOccurred())
}

// skusOf a promotion's top-ups, in their order.
func skusOf(p *flashv1.Promotion) []string {
	var skus []string
	for _, t := range p.GetTopUps() {
		skus = append(skus, t.GetSku())
	}
	return skus
}
