package flash_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/client"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	flashpod "github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

var _ = Describe("A pool of flash pods", func() {
	var (
		server *testnats.Server
		js     jetstream.JetStream
		p      *flashv1.Promotion
	)
	items := []prepare.Item{{SKU: "a", Quantity: 300}, {SKU: "b", Quantity: 5}, {SKU: "c", Quantity: 61}}
	all := map[string]int64{"a": 300, "b": 5, "c": 61}

	BeforeEach(func(ctx SpecContext) {
		server = newServer()
		js = server.JetStream(GinkgoTB())
		p = newPromotion(8, 0, items...)
		open(ctx, js, p, items...)
	})

	It("sells exactly its stock over eight partitions, with most buyers in one of them", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil), startPod(js, "pod-c", nil)}
		ready(pods...)
		rush(ctx, p, pods, 1200).expectExactly(ctx, js, p, all)
	})

	It("sells exactly its stock in orders larger than most shards", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		ready(pods...)
		var sold atomic.Int64
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				defer GinkgoRecover()
				for i := range 4 {
					buyer := buyerOf(int32(worker), p.Partitions, i)
					got := insist(ctx, func(attempt int) *flashpod.Service { return pods[(i+attempt)%2].Service },
						request(p, buyer, "r", "c", 10))
					if got.order != "" {
						sold.Add(10)
						continue
					}
					Expect(got.reason).To(Equal(rpcerr.ReasonSoldOut))
				}
			})
		}
		group.Wait()
		Expect(sold.Load()).To(BeEquivalentTo(60))
		Expect(sales(ctx, js, p)["c"]).To(Equal(prepare.Total{SKU: "c", Allocated: 61, Sold: 60, Unsold: 1}))
	})

	It("sells exactly its stock while acknowledgements of appends and transfers get lost", func(ctx SpecContext) {
		var lost losses
		unreliable := func(log plog.Log) plog.Log { return &unreliableLog{log, &lost} }
		pods := []*pod{startPod(js, "pod-a", unreliable), startPod(js, "pod-b", unreliable)}
		ready(pods...)
		rush(ctx, p, pods, 1000).expectExactly(ctx, js, p, all)
		Expect(lost.reservations.Load()).To(BeNumerically(">=", 7))
		Expect(lost.transfers.Load()).To(BeNumerically(">=", 3))
	})

	It("goes on when a pod is killed in the middle", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil), startPod(js, "pod-c", nil)}
		ready(pods...)
		c := rush(ctx, p, pods[:2], 1000)
		Eventually(c.answered.Load).Should(BeNumerically(">", 100))
		pods[2].stop()
		c.expectExactly(ctx, js, p, all)
		ready(pods[:2]...)
	})

	It("hands its partitions over when it drains, and refuses nobody for it", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil), startPod(js, "pod-c", nil)}
		ready(pods...)
		c := rush(ctx, p, pods, 1000)
		Eventually(c.answered.Load).Should(BeNumerically(">", 100))
		pods[0].Drain(ctx)
		Expect(pods[0].Ready()).To(MatchError(flashpod.ErrDraining))
		c.expectExactly(ctx, js, p, all)
	})

	It("goes on when NATS is stopped and started again", func(ctx SpecContext) {
		pods := []*pod{
			startPod(server.JetStream(GinkgoTB()), "pod-a", nil),
			startPod(server.JetStream(GinkgoTB()), "pod-b", nil),
		}
		ready(pods...)
		c := rush(ctx, p, pods, 1000)
		Eventually(c.answered.Load).Should(BeNumerically(">", 100))
		server.Restart()
		c.expectExactly(ctx, js, p, all)
		ready(pods...)
	})

	It("refuses by window, item and knowledge of the promotion, and follows its changes", func(ctx SpecContext) {
		a := startPod(js, "pod-a", nil)
		ready(a)
		requests := 0
		reason := func(sku string) string {
			requests++
			_, err := a.PlaceFlashOrder(ctx, request(p, "ann", fmt.Sprint("r-", requests), sku, 1))
			return rpcerr.Reason(err)
		}
		_, err := a.PlaceFlashOrder(ctx, &flashv1.PlaceFlashOrderRequest{Promotion: "nothing"})
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonPromotionNotFound))
		Expect(reason("x")).To(Equal(rpcerr.ReasonItemNotFound))
		first, err := a.PlaceFlashOrder(ctx, request(p, "ann", "first", "a", 1))
		Expect(err).NotTo(HaveOccurred())

		p.Paused = true
		Expect(prepare.PutPromotion(ctx, js, p)).To(Succeed())
		Eventually(reason).WithArguments("a").Should(Equal(rpcerr.ReasonPaused))
		again, err := a.PlaceFlashOrder(ctx, request(p, "ann", "first", "a", 1))
		Expect(err).NotTo(HaveOccurred(), "a retry of what was accepted before")
		Expect(again.OrderId).To(Equal(first.OrderId))
		p.Paused = false
		p.Items[0].Off = true
		Expect(prepare.PutPromotion(ctx, js, p)).To(Succeed())
		Eventually(reason).WithArguments("a").Should(Equal(rpcerr.ReasonItemOff))
		start := time.Now().Add(time.Hour)
		p.StartUnixMs, p.EndUnixMs = start.UnixMilli(), start.Add(time.Hour).UnixMilli()
		Expect(prepare.PutPromotion(ctx, js, p)).To(Succeed())
		Eventually(reason).WithArguments("a").Should(Equal(rpcerr.ReasonNotStarted))
		got, err := a.GetPromotion(ctx, &flashv1.GetPromotionRequest{Promotion: p.Name})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.StartTime.AsTime().UnixMilli()).To(Equal(p.StartUnixMs))
		Expect(got.Items[0].Off).To(BeTrue())
		Expect(prepare.DeletePromotion(ctx, js, p.Uid)).To(Succeed())
		Eventually(reason).WithArguments("a").Should(Equal(rpcerr.ReasonPromotionNotFound))
	})

	It("releases through any pod, while the sale is open, after it is closed and after it is gone", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		ready(pods...)
		buyers := []string{buyerOf(0, 8, 1), buyerOf(1, 8, 1), buyerOf(2, 8, 1), buyerOf(3, 8, 1)}
		placed := map[string]uuid.UUID{}
		for _, buyer := range buyers {
			got := insist(ctx, func(int) *flashpod.Service { return pods[0].Service }, request(p, buyer, "r", "b", 1))
			placed[buyer] = uuid.MustParse(got.order)
		}
		release := func(i int, buyer string) (flashv1.ReleaseOutcome, error) {
			releaser := client.NewReleaser("http://" + pods[i].address)
			return releaser.Release(ctx, p.Uid, buyer, placed[buyer], flashv1.ReleaseReason_RELEASE_REASON_EXPIRED)
		}
		for i := range pods {
			Expect(release(i, buyers[0])).To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED))
		}
		got, err := pods[1].GetFlashOrder(ctx,
			&flashv1.GetFlashOrderRequest{Promotion: p.Name, BuyerId: buyers[0], RequestId: "r"})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.State).To(Equal(flashv1.FlashOrderState_FLASH_ORDER_STATE_RELEASED))

		By("closing the sale")
		_, err = prepare.ClosePartitions(ctx, js, p, "operator")
		Expect(err).NotTo(HaveOccurred())
		p.Closed = true
		Expect(prepare.PutPromotion(ctx, js, p)).To(Succeed())
		for i := range pods {
			Expect(release(i, buyers[0])).To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED))
			Expect(release(i, buyers[1])).To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED))
		}
		By("starting a pod that never saw the sale open")
		for _, pod := range pods {
			pod.stop()
		}
		pods = []*pod{startPod(js, "pod-new", nil)}
		ready(pods...)
		Eventually(release).WithArguments(0, buyers[2]).Should(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED))
		Eventually(release).WithArguments(0, buyers[0]).Should(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED))

		By("removing the sale")
		Expect(prepare.DeletePromotion(ctx, js, p.Uid)).To(Succeed())
		Expect(prepare.DeleteStreams(ctx, js, p)).To(Succeed())
		Eventually(release).WithArguments(0, buyers[3]).Should(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED))
	})

	It("sells again what is released after it was sold out", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		ready(pods...)
		var last outcome
		var lastBuyer string
		for i := range 5 {
			lastBuyer = fmt.Sprint("buyer-", i)
			last = insist(ctx, func(attempt int) *flashpod.Service { return pods[(i+attempt)%2].Service },
				request(p, lastBuyer, "r", "b", 1))
			Expect(last.order).NotTo(BeEmpty())
		}
		late := request(p, buyerOf(5, 8, 77), "r", "b", 1)
		Eventually(func() bool {
			Expect(
				insist(ctx, func(int) *flashpod.Service { return pods[0].Service }, late).reason,
			).To(Equal(rpcerr.ReasonSoldOut))
			got, err := pods[0].GetPromotion(ctx, &flashv1.GetPromotionRequest{Promotion: p.Name})
			return err == nil && got.Items[1].SoldOut
		}).Should(BeTrue())

		Expect(
			client.NewReleaser(
				"http://"+pods[1].address,
			).Release(ctx, p.Uid, lastBuyer, uuid.MustParse(last.order), flashv1.ReleaseReason_RELEASE_REASON_CANCELLED),
		).
			To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED))
		Eventually(func() string {
			return insist(ctx, func(int) *flashpod.Service { return pods[0].Service }, late).order
		}).ShouldNot(BeEmpty())
		Expect(sales(ctx, js, p)["b"]).To(Equal(prepare.Total{SKU: "b", Allocated: 5, Sold: 5}))
	})
})
