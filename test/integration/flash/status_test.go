package flash_test

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/flash/client"
	flashpod "github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
)

// standardPod is the OrderService of a pod that asks a flash pod for what its database does not have.
func standardPod(l *lane, peerURL string) *order.Service {
	GinkgoHelper()
	tokens, err := quote.NewTokens([]byte("0123456789abcdef"), time.Hour)
	Expect(err).NotTo(HaveOccurred())
	return order.NewService(order.ServiceOptions{
		Store:          l.store,
		IDs:            newOrderIDs(),
		Tokens:         tokens,
		PaymentTimeout: time.Hour,
		Random:         mathrand.New(mathrand.NewPCG(1, 2)),
		Flash:          client.NewFinder(peerURL, l.js),
	})
}

// follower asks for one order again and again, from the moment that it was accepted.
type follower struct {
	buyer, id string
	accepted  atomic.Bool
	asked     atomic.Int64
	away      atomic.Int64
}

// follow asks until the order is in the database. It fails on any answer that says that there is no
// such order, and on one that is older than the one before.
func (f *follower) follow(ctx context.Context, pods []*order.Service) {
	GinkgoHelper()
	for i := 0; ; i++ {
		answer, err := pods[i%len(pods)].GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: f.buyer, OrderId: f.id})
		f.asked.Add(1)
		if err != nil {
			Expect(connect.CodeOf(err)).To(Equal(connect.CodeUnavailable), "order %s: %v (%s)", f.id, err, rpcerr.Reason(err))
			f.away.Add(1)
			continue
		}
		o := answer.GetOrder()
		Expect(o.GetOrderId()).To(Equal(f.id))
		Expect(o.GetPromotion()).NotTo(BeEmpty())
		Expect(o.GetTotal().GetAmount()).To(BeEquivalentTo(o.GetLines()[0].GetUnitPrice().GetAmount()))
		switch o.GetState() {
		case orderv1.OrderState_ORDER_STATE_ACCEPTED:
			f.accepted.Store(true)
		case orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT:
			// And never again anything else.
			for range 5 {
				answer, err = pods[i%len(pods)].GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: f.buyer, OrderId: f.id})
				Expect(err).NotTo(HaveOccurred())
				Expect(answer.GetOrder().GetState()).To(Equal(orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT))
			}
			return
		default:
			Fail(fmt.Sprintf("order %s is %s", f.id, o.GetState()))
		}
	}
}

var _ = Describe("The status of an accepted order", func() {
	It(
		"is known at every moment until the order is in the database and after, also while an owner dies",
		func(ctx SpecContext) {
			const orders = 12
			l := newLane(ctx, 4, 0, prepare.Item{SKU: "a", Quantity: 1000})
			pods := []*pod{startPod(l.js, "pod-a", nil), startPod(l.js, "pod-b", nil)}
			for _, p := range pods {
				Eventually(p.Ready).WithTimeout(time.Minute).Should(Succeed())
			}
			standard := []*order.Service{standardPod(l, "http://"+pods[0].address), standardPod(l, "http://"+pods[0].address)}

			By("following each order from its acceptance on, with the materializer held back")
			followers := make([]*follower, orders)
			var group sync.WaitGroup
			for i := range followers {
				f := &follower{buyer: fmt.Sprint("buyer-", i)}
				placed := insist(ctx, func(attempt int) *flashpod.Service { return pods[attempt%2].Service },
					request(l.p, f.buyer, "r", "a", 1))
				Expect(placed.order).NotTo(BeEmpty(), placed.reason)
				f.id = placed.order
				followers[i] = f
				group.Go(func() {
					defer GinkgoRecover()
					f.follow(ctx, standard)
				})
				Eventually(f.accepted.Load).WithTimeout(time.Minute).Should(BeTrue(), "order %s was not seen as accepted", f.id)
			}

			By("killing a pod that owns partitions")
			pods[1].stop()
			var before [orders]int64
			for i, f := range followers {
				before[i] = f.asked.Load() - f.away.Load()
			}
			for i, f := range followers {
				Eventually(
					func() int64 { return f.asked.Load() - f.away.Load() },
				).WithTimeout(30*time.Second).Should(BeNumerically(">", before[i]+1), "order %s is not answered for any more", f.id)
			}

			By("writing the orders to the database while they are asked for")
			l.materialize(l.store)
			group.Wait()
			l.drained(ctx)
		},
	)

	It("outlasts the promotion's log, and nothing is looked for that cannot be there", func(ctx SpecContext) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 10})
		p := startPod(l.js, "pod-a", nil)
		Eventually(p.Ready).WithTimeout(time.Minute).Should(Succeed())
		standard := standardPod(l, "http://"+p.address)
		placed := insist(ctx, func(int) *flashpod.Service { return p.Service }, request(l.p, "ann", "r", "a", 1))
		Expect(placed.order).NotTo(BeEmpty(), placed.reason)
		state := func(buyer, id string) string {
			answer, err := standard.GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: buyer, OrderId: id})
			if err != nil {
				return rpcerr.Reason(err)
			}
			return answer.GetOrder().GetState().String()
		}
		other, err := newOrderIDs().New("ann")
		Expect(err).NotTo(HaveOccurred())

		Expect(state("ann", placed.order)).To(Equal("ORDER_STATE_ACCEPTED"))
		Expect(state("bob", placed.order)).To(Equal("ORDER_NOT_FOUND"))
		Expect(state("ann", other.String())).To(Equal("ORDER_NOT_FOUND"))

		By("stopping the flash pool")
		p.stop()
		Expect(state("ann", placed.order)).To(Equal("LANE_UNAVAILABLE"))
		Expect(state("ann", other.String())).To(Equal("LANE_UNAVAILABLE"))
		Expect(state("bob", placed.order)).To(Equal("ORDER_NOT_FOUND"))

		By("writing the order, and deleting the promotion with its log")
		stop := l.materialize(l.store)
		l.drained(ctx)
		stop()
		Expect(state("ann", placed.order)).To(Equal("ORDER_STATE_PENDING_PAYMENT"))
		Expect(prepare.DeletePromotion(ctx, l.js, l.p.Uid)).To(Succeed())
		Expect(prepare.DeleteStreams(ctx, l.js, l.p)).To(Succeed())
		Expect(state("ann", placed.order)).To(Equal("ORDER_STATE_PENDING_PAYMENT"))
		Expect(
			state("ann", other.String()),
		).To(Equal("ORDER_NOT_FOUND"), "a shop without promotions has no orders in the lane")
	})
})
