package watch_test

import (
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/test/kit/testshop"
)

// onSale is an open promotion of tea, and a flash pod that takes orders.
func (w *world) onSale(ctx SpecContext) (promotion string, flash *testshop.Pod, peers string) {
	GinkgoHelper()
	db, err := database.Open(ctx, w.DatabaseURL, 4)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(db.Close)
	uid, now := uuid.NewString(), time.Now()
	runner := sale.Runner{Clock: time.Now, Sale: sale.New(sale.Options{
		Promotion: &flashv1.Promotion{
			Uid: uid, Name: "sale", Streams: plog.StreamNames(uid, 1), Partitions: 1, Open: true, Currency: "CNY",
			StartUnixMs: now.Add(-time.Minute).UnixMilli(), EndUnixMs: now.Add(time.Hour).UnixMilli(),
			PaymentTimeoutMs: time.Hour.Milliseconds(),
			Items:            []*flashv1.PromotedItem{{Sku: "tea", UnitPrice: 100, LimitPerBuyer: 2}},
		},
		Items:    []sale.Quantity{{SKU: "tea", Quantity: 10}},
		Database: sale.Opened(db), JetStream: sale.Opened(w.NATS.JetStream(GinkgoTB())), Replicas: 1, Actor: "test",
	})}
	Expect(runner.Prepare(ctx)).To(Succeed())
	Expect(runner.Publish(ctx)).To(Succeed())
	c := w.Pod()
	return "sale", w.Ready(config.RoleFlash, "flash-0", c), "http://" + c.HTTP.PeerAddress
}

var _ = Describe("Watching a flash order", func() {
	It("follows it from the lane into the database, and on", func(ctx SpecContext) {
		w := newWorld(ctx, false)
		promotion, flash, peers := w.onSale(ctx)
		c := w.Pod()
		c.Flash.PeerURL = peers
		knowing := w.start("standard-2", c)
		placing := flashv1connect.NewFlashServiceClient(w.client(&pod{Pod: flash}, "ann", "buyer"))
		var id string
		Eventually(func(g Gomega) {
			answer, err := placing.PlaceFlashOrder(ctx, &flashv1.PlaceFlashOrderRequest{
				Promotion: promotion, RequestId: "one", Items: []*flashv1.FlashOrderItem{{Sku: "tea", Quantity: 1}},
			})
			g.Expect(err).NotTo(HaveOccurred())
			id = answer.GetOrderId()
		}).Should(Succeed())

		s := w.watchOrder(ctx, knowing, "ann", &orderv1.WatchOrderRequest{OrderId: id})
		accepted := s.order()
		Expect(accepted.GetState()).To(Equal(orderv1.OrderState_ORDER_STATE_ACCEPTED))
		Expect(accepted.GetVersion()).To(BeZero())
		Expect(accepted.GetPromotion()).To(Equal(promotion))

		By("writing it")
		c = w.Pod()
		c.Flash.PeerURL = peers
		w.Ready(config.RoleWorker, "worker-0", c)
		written := s.order()
		Expect(written.GetState()).To(Equal(pending))
		Expect(written.GetVersion()).To(BeEquivalentTo(1))
		all := w.begins(ctx, knowing, "")

		By("cancelling it")
		w.cancel(ctx, w.one, id)
		Expect(s.order().GetState()).To(Equal(cancelled))
		Expect(all.until(id, cancelled).GetPromotion()).To(Equal(promotion))
	})
})
