package flash_test

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/placement"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

var _ = Describe("A backend's stream of orders", func() {
	var (
		js jetstream.JetStream
		p  *flashv1.Promotion
	)
	items := []prepare.Item{{SKU: "a", Quantity: 5000}, {SKU: "b", Quantity: 100}}

	BeforeEach(func(ctx SpecContext) {
		js = newJetStream()
		p = newPromotion(4, 2, items...)
		open(ctx, js, p, items...)
	})

	many := func(count int, sku string) []*flashv1.PlaceFlashOrderRequest {
		requests := make([]*flashv1.PlaceFlashOrderRequest, count)
		for i := range requests {
			requests[i] = request(p, fmt.Sprint("buyer-", i), "r-"+sku, sku, 1)
		}
		return requests
	}

	It("sells exactly its stock through two pods, and answers repeated requests as before", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		ready(pods...)
		backends := []*streamclient.Stream{backend(pods[0].address), backend(pods[1].address)}
		requests := append(many(3000, "a"), many(400, "b")...)
		first := buyAll(ctx, backends[:1], requests)
		Expect(buyAll(ctx, backends[1:], requests)).To(Equal(first))
		inLog := orders(ctx, js, p)
		sold := 0
		for key, got := range first {
			if got.order != "" {
				Expect(orderIDOf(inLog[key])).To(Equal(got.order))
				sold++
			}
		}
		Expect(inLog).To(HaveLen(sold))
		totals := sales(ctx, js, p)
		Expect(totals["a"].Sold).To(BeEquivalentTo(3000))
		Expect(totals["b"].Sold).To(BeEquivalentTo(100))
	})

	It("refuses each request by itself", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		agree(ctx, p, pods...)
		requests := many(1000, "a")
		requests[7].BuyerId = ""
		requests[17].Items[0].Quantity = 10_000
		requests[27].Promotion = "nothing"
		requests[37].Items[0].Sku = "x"
		requests[47].Items[0].Quantity = 3
		got := placedAll(ctx, backend(pods[0].address), requests)
		want := map[int]string{
			7:  "INVALID_REQUEST",
			17: "INVALID_REQUEST",
			27: rpcerr.ReasonPromotionNotFound,
			37: rpcerr.ReasonItemNotFound,
			47: rpcerr.ReasonLimitPerBuyer,
		}
		for i, o := range got {
			Expect(o.reason).To(Equal(want[i]), "request %d", i)
			Expect(o.order == "").To(Equal(want[i] != ""), "request %d", i)
		}
		By("using a request id for something else")
		other := request(p, requests[0].BuyerId, requests[0].RequestId, "b", 1)
		Expect(
			placedAll(ctx, backend(pods[1].address), []*flashv1.PlaceFlashOrderRequest{other})[0].reason,
		).To(Equal(rpcerr.ReasonRequestIDReused))
	})

	It("ends on a message with too many requests, and answers what came before", func(ctx SpecContext) {
		a := startPod(js, "pod-a", nil)
		ready(a)
		stream, err := flashClient(a.address).PlaceFlashOrders(ctx)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = stream.Close() }()
		Expect(stream.Send(&flashv1.PlaceFlashOrdersRequest{Requests: many(10, "a")})).To(Succeed())
		Expect(stream.Send(&flashv1.PlaceFlashOrdersRequest{Requests: many(1025, "a")})).To(Succeed())
		answers := 0
		for {
			message, err := stream.Receive()
			if err != nil {
				Expect(connect.CodeOf(err)).To(Equal(connect.CodeInvalidArgument))
				Expect(rpcerr.Reason(err)).To(Equal("INVALID_REQUEST"))
				break
			}
			answers += len(message.Answers)
		}
		Expect(answers).To(Equal(10))
	})

	It("reads no further while its answers are not read, and holds nobody else up", func(ctx SpecContext) {
		a := startPod(js, "pod-a", nil)
		ready(a)
		stream, err := flashClient(a.address).PlaceFlashOrders(ctx)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = stream.Close() }()
		var sent atomic.Int64
		const all = 70_000
		go func() {
			requests := many(1000, "b")
			for sent.Load() < all && stream.Send(&flashv1.PlaceFlashOrdersRequest{Requests: requests}) == nil {
				sent.Add(1000)
			}
			_ = stream.CloseSend()
		}()
		// What is neither answered nor in the buffers on the way waits at the sender.
		Eventually(func() bool {
			before := sent.Load()
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
			return before > 0 && sent.Load() == before
		}).Should(BeTrue())
		Expect(sent.Load()).To(BeNumerically("<", all))
		got := placedAll(ctx, backend(a.address), []*flashv1.PlaceFlashOrderRequest{request(p, "zoe", "r", "a", 1)})
		Expect(got[0].order).NotTo(BeEmpty())

		By("reading on")
		seen := map[uint64]bool{}
		answers := 0
		for {
			message, err := stream.Receive()
			if err != nil {
				Expect(err).To(MatchError(io.EOF))
				break
			}
			for _, answer := range message.Answers {
				seen[answer.Position] = true
				answers++
			}
		}
		Expect(answers).To(Equal(all))
		Expect(len(seen)).To(Equal(all))
	})

	It("is answered in any order: a partition that is slow holds up no other", func(ctx SpecContext) {
		release := make(chan struct{})
		slow := func(log plog.Log) plog.Log {
			return &wrappedLog{log, func(ctx context.Context, log plog.Log, entry plog.Entry) (uint64, error) {
				if entry.Partition == 0 && reserves(entry) {
					select {
					case <-release:
					case <-ctx.Done():
					}
				}
				return log.Append(ctx, entry)
			}}
		}
		a := startPod(js, "pod-a", slow)
		ready(a)
		stream, err := flashClient(a.address).PlaceFlashOrders(ctx)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = stream.Close() }()
		requests := many(100, "a")
		Expect(stream.Send(&flashv1.PlaceFlashOrdersRequest{Requests: requests})).To(Succeed())
		others := 0
		for _, r := range requests {
			if partition.ForBuyer(r.BuyerId, 4) != 0 {
				others++
			}
		}
		answered := map[uint64]bool{}
		for len(answered) < len(requests) {
			message, err := stream.Receive()
			Expect(err).NotTo(HaveOccurred())
			for _, answer := range message.Answers {
				Expect(answer.GetAccepted().GetOrderId()).NotTo(BeEmpty())
				if len(answered) < others {
					Expect(partition.ForBuyer(requests[answer.Position].BuyerId, 4)).NotTo(BeZero())
				}
				answered[answer.Position] = true
			}
			if len(answered) == others {
				close(release)
			}
		}
	})

	It(
		"says nothing is accepted before the start, by the cluster's clock, whatever the pods' clocks say",
		func(ctx SpecContext) {
			start := time.Now().Add(2 * time.Second)
			p.StartUnixMs = start.UnixMilli()
			Expect(prepare.PutPromotion(ctx, js, p)).To(Succeed())
			fast := startPodAt(js, "pod-fast", func() time.Time { return time.Now().Add(time.Hour) })
			slow := startPodAt(js, "pod-slow", func() time.Time { return time.Now().Add(-time.Hour) })
			Eventually(fast.Ready).Should(MatchError(ContainSubstring("clock is wrong")))
			backends := []*streamclient.Stream{backend(fast.address), backend(slow.address)}
			for i := 0; ; i++ {
				accepted := 0
				before := time.Now()
				for k, stream := range backends {
					r := request(p, fmt.Sprintf("buyer-%d-%d", i, k), "r", "a", 1)
					r.FirstAttempt = true
					for _, got := range placedAll(ctx, stream, []*flashv1.PlaceFlashOrderRequest{r}) {
						if got.order != "" {
							accepted++
							Expect(time.Now()).To(BeTemporally(">=", start))
						} else if before.After(start.Add(time.Second)) {
							Expect(got.reason).To(Equal(rpcerr.ReasonPartitionMoving))
						}
					}
				}
				if accepted == 2 {
					return
				}
				Expect(time.Now()).To(BeTemporally("<", start.Add(15*time.Second)))
			}
		},
	)

	It("refuses first attempts at what is sold out on any pod, and lets retries have their order", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		ready(pods...)
		backends := []*streamclient.Stream{backend(pods[0].address), backend(pods[1].address)}
		bought := buyAll(ctx, backends, many(150, "b"))
		for i, pod := range pods {
			first := request(p, fmt.Sprint("late-", i), "r", "b", 1)
			first.FirstAttempt = true
			Eventually(func() bool {
				asks := request(p, fmt.Sprint("asks-", i), "r", "b", 1)
				Expect(insist(ctx, only(pod), asks).reason).To(Equal(rpcerr.ReasonSoldOut))
				got, err := pod.GetPromotion(ctx, &flashv1.GetPromotionRequest{Promotion: p.Name})
				return err == nil && got.Items[1].SoldOut
			}).Should(BeTrue())
			Expect(
				placedAll(ctx, backends[i], []*flashv1.PlaceFlashOrderRequest{first})[0].reason,
			).To(Equal(rpcerr.ReasonSoldOut))
		}
		for _, r := range many(150, "b") {
			if before := bought[r.BuyerId+"/"+r.RequestId]; before.order != "" {
				Expect(insist(ctx, only(pods[0]), r)).To(Equal(before))
			}
		}
	})

	It("finds orders by request and by id in all streams of a promotion", func(ctx SpecContext) {
		large := newPromotion(4, 0, items...)
		large.Streams = plog.StreamNames(large.Uid, 2)
		large.Items[1].Stream = 1
		open(ctx, js, large, items...)
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		agree(ctx, large, pods...)
		for i, sku := range []string{"a", "b"} {
			got := insist(ctx, only(pods[0]), request(large, "ann", "r-"+sku, sku, 1))
			Expect(got.order).NotTo(BeEmpty())
			for _, pod := range pods {
				byRequest, err := pod.GetFlashOrder(ctx,
					&flashv1.GetFlashOrderRequest{Promotion: large.Name, BuyerId: "ann", RequestId: "r-" + sku})
				Expect(err).NotTo(HaveOccurred())
				Expect(byRequest.OrderId).To(Equal(got.order))
				id := uuid.MustParse(got.order)
				var byID *flashv1.FindOrderResponse
				// While anything is in doubt, it is open.
				Eventually(func() (err error) {
					byID, err = pod.PeerService().FindOrder(ctx, &flashv1.FindOrderRequest{BuyerId: "ann", OrderId: id[:]})
					return err
				}).Should(Succeed())
				Expect(byID.Promotion).To(Equal(large.Name))
				Expect(byID.Reservation.Items[0].Sku).To(Equal(sku))
				Eventually(func() string {
					_, err := pod.PeerService().FindOrder(ctx, &flashv1.FindOrderRequest{BuyerId: "bob", OrderId: id[:]})
					return rpcerr.Reason(err)
				}).Should(Equal(rpcerr.ReasonOrderNotFound))
			}
			released, err := pods[i].PeerService().Release(ctx, &flashv1.ReleaseRequest{
				PromotionUid: large.Uid,
				BuyerId:      "ann",
				OrderId:      idOf(got.order),
				Reason:       flashv1.ReleaseReason_RELEASE_REASON_CANCELLED,
			})
			Expect(err).NotTo(HaveOccurred())
			Expect(released.Outcome).To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED))
		}
		_, err := pods[0].GetFlashOrder(ctx,
			&flashv1.GetFlashOrderRequest{Promotion: large.Name, BuyerId: "ann", RequestId: "other"})
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonOrderNotFound))
	})

	It("tells the route of a buyer's partition", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		agree(ctx, p, pods...)
		a := pods[0]
		promotion, err := a.GetPromotion(ctx, &flashv1.GetPromotionRequest{Promotion: p.Name})
		Expect(err).NotTo(HaveOccurred())
		callCtx, call := connect.NewClientContext(ctx)
		_, err = flashClient(a.address).PlaceFlashOrder(callCtx, request(p, "ann", "r", "a", 1))
		Expect(err).NotTo(HaveOccurred())
		route := call.ResponseHeader().Get(placement.RouteHeader)
		Expect(route).To(Equal(promotion.Routes[partition.ForBuyer("ann", 4)]))
		callCtx, call = connect.NewClientContext(ctx)
		call.RequestHeader().Set(placement.RouteHeader, route)
		_, err = flashClient(a.address).PlaceFlashOrder(callCtx, request(p, "ann", "r", "a", 1))
		Expect(err).NotTo(HaveOccurred())
		Expect(call.ResponseHeader().Has(placement.RouteHeader)).To(BeFalse(), "the caller has it")
		callCtx, call = connect.NewClientContext(ctx)
		_, err = flashClient(a.address).PlaceFlashOrder(callCtx, request(p, "ann", "r", "b", 1))
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonRequestIDReused))
		Expect(call.ResponseHeader().Get(placement.RouteHeader)).NotTo(BeEmpty(), "also on a partition's refusal")
	})
})
