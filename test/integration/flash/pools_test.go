package flash_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/flash/sale"
	"github.com/orderd-dev/orderd/orderd/orderid"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
	"github.com/orderd-dev/orderd/test/testnats"
)

// pod is a flash pod in the test's process, with its PeerService on loopback.
type pod struct {
	*flash.Pool
	flash.Service
	address string
	stop    func()
}

func newOrderIDs() *orderid.Generator {
	GinkgoHelper()
	ids, err := orderid.NewGenerator([]byte("0123456789abcdef"), time.Now, rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	return ids
}

func logger() *slog.Logger {
	var w io.Writer = GinkgoWriter
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// startPod runs a pod until stop, which is as sudden as a kill, or the test's end.
func startPod(js jetstream.JetStream, name string, wrap func(plog.Log) plog.Log) *pod {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	p := &pod{address: listener.Addr().String()}
	p.Pool = flash.NewPool(flash.Options{
		JetStream: js, Replicas: 1, Name: name, Advertise: p.address, Clock: time.Now,
		Random: mathrand.New(mathrand.NewPCG(1, uint64(len(name)))), OrderIDs: newOrderIDs(),
		Logger: logger().With("pod", name), Registerer: prometheus.NewRegistry(), WrapLog: wrap,
	})
	p.Service = p.FlashService()
	server := connect.NewServer()
	flashv1connect.RegisterPeerServiceHandler(server, p.PeerService())
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	httpServer := &http.Server{Handler: mux, Protocols: protocols}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = httpServer.Serve(listener) })
	group.Go(func() {
		defer GinkgoRecover()
		Expect(p.Run(ctx)).To(Succeed())
	})
	p.stop = sync.OnceFunc(func() {
		cancel()
		_ = httpServer.Close()
		group.Wait()
	})
	DeferCleanup(func() { p.stop() })
	return p
}

// request of one unit of a SKU.
func request(p *flashv1.Promotion, buyer, id, sku string, quantity int64) *flashv1.PlaceFlashOrderRequest {
	return &flashv1.PlaceFlashOrderRequest{Promotion: p.Name, BuyerId: buyer, RequestId: id, Items: []*flashv1.FlashOrderItem{{Sku: sku, Quantity: quantity}}}
}

// outcome is the last answer to a request that was repeated until it was not UNAVAILABLE.
type outcome struct {
	order  string
	reason string
}

// insist repeats a request, each time through the next pod, as a buyer's app does.
func insist(ctx context.Context, pods func(attempt int) flash.Service, r *flashv1.PlaceFlashOrderRequest) outcome {
	for attempt := 0; ; attempt++ {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		response, err := pods(attempt).PlaceFlashOrder(try, r)
		cancel()
		if err == nil {
			return outcome{order: response.GetOrderId()}
		}
		if connect.CodeOf(err) != connect.CodeUnavailable || ctx.Err() != nil {
			return outcome{reason: rpcerr.Reason(err)}
		}
		after, _ := rpcerr.RetryAfter(err)
		select {
		case <-ctx.Done():
		case <-time.After(after / 4):
		}
	}
}

// sales counts what the logs hold.
func sales(ctx context.Context, js jetstream.JetStream, p *flashv1.Promotion) map[string]provision.Total {
	GinkgoHelper()
	totals, err := provision.Totals(ctx, js, p)
	Expect(err).NotTo(HaveOccurred())
	bySKU := map[string]provision.Total{}
	for _, t := range totals {
		bySKU[t.SKU] = t
	}
	return bySKU
}

// orders in the logs, by buyer and request. It fails on an order that is there twice.
func orders(ctx context.Context, js jetstream.JetStream, p *flashv1.Promotion) map[string]*flashv1.Reservation {
	GinkgoHelper()
	found := map[string]*flashv1.Reservation{}
	for n := range p.Partitions {
		eachRecord(ctx, js, p, n, func(r *flashv1.Record) {
			for _, reservation := range r.GetReserved().GetReservations() {
				key := reservation.BuyerId + "/" + reservation.RequestId
				Expect(found).NotTo(HaveKey(key))
				found[key] = reservation
			}
		})
	}
	return found
}

// crowd is buyers who each make one request and insist on an answer.
type crowd struct {
	mu      sync.Mutex
	answers map[string]outcome
	group   sync.WaitGroup
	// answered counts, so that a test can act in the middle of a sale.
	answered atomic.Int64
}

// rush sends size buyers, of whom 16 are active at once, through the pods.
func rush(ctx context.Context, p *flashv1.Promotion, pods []*pod, size int) *crowd {
	c := &crowd{answers: map[string]outcome{}}
	const active = 16
	for worker := range active {
		c.group.Go(func() {
			defer GinkgoRecover()
			for i := worker; i < size; i += active {
				r := request(p, skewed(p.Partitions, i), fmt.Sprint("r-", i), p.Items[i%len(p.Items)].Sku, 1)
				got := insist(ctx, func(attempt int) flash.Service { return pods[(i+attempt)%len(pods)].Service }, r)
				c.mu.Lock()
				c.answers[r.BuyerId+"/"+r.RequestId] = got
				c.mu.Unlock()
				c.answered.Add(1)
			}
		})
	}
	return c
}

// expectExactly waits for the crowd and compares its answers with the logs: everything is sold, every
// acknowledged order is there once, and nobody was refused for another reason than that it was sold out.
func (c *crowd) expectExactly(ctx context.Context, js jetstream.JetStream, p *flashv1.Promotion, want map[string]int64) {
	GinkgoHelper()
	c.group.Wait()
	inLog := orders(ctx, js, p)
	for key, got := range c.answers {
		if got.order == "" {
			Expect(got.reason).To(Equal(sale.ReasonSoldOut), key)
			continue
		}
		Expect(inLog).To(HaveKey(key))
		Expect(orderIDOf(inLog[key])).To(Equal(got.order))
	}
	totals := sales(ctx, js, p)
	for sku, sold := range want {
		Expect(totals[sku]).To(Equal(provision.Total{SKU: sku, Allocated: sold, Sold: sold}))
	}
}

func ready(pods ...*pod) {
	GinkgoHelper()
	for _, pod := range pods {
		Eventually(pod.Ready).Should(Succeed())
	}
}

var _ = Describe("A pool of flash pods", func() {
	var (
		server *testnats.Server
		js     jetstream.JetStream
		p      *flashv1.Promotion
	)
	items := []provision.Item{{SKU: "a", Quantity: 300}, {SKU: "b", Quantity: 5}, {SKU: "c", Quantity: 61}}
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
					got := insist(ctx, func(attempt int) flash.Service { return pods[(i+attempt)%2].Service }, request(p, buyer, "r", "c", 10))
					if got.order != "" {
						sold.Add(10)
						continue
					}
					Expect(got.reason).To(Equal(sale.ReasonSoldOut))
				}
			})
		}
		group.Wait()
		Expect(sold.Load()).To(BeEquivalentTo(60))
		Expect(sales(ctx, js, p)["c"]).To(Equal(provision.Total{SKU: "c", Allocated: 61, Sold: 60, Unsold: 1}))
	})

	It("sells exactly its stock while acknowledgements of appends and transfers get lost", func(ctx SpecContext) {
		var appends atomic.Int64
		unreliable := func(log plog.Log) plog.Log { return &unreliableLog{log, &appends} }
		pods := []*pod{startPod(js, "pod-a", unreliable), startPod(js, "pod-b", unreliable)}
		ready(pods...)
		rush(ctx, p, pods, 1000).expectExactly(ctx, js, p, all)
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
		Expect(pods[0].Ready()).To(MatchError(flash.ErrDraining))
		c.expectExactly(ctx, js, p, all)
	})

	It("goes on when NATS is stopped and started again", func(ctx SpecContext) {
		pods := []*pod{startPod(server.JetStream(GinkgoTB()), "pod-a", nil), startPod(server.JetStream(GinkgoTB()), "pod-b", nil)}
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
		Expect(rpcerr.Reason(err)).To(Equal(sale.ReasonPromotionNotFound))
		Expect(reason("x")).To(Equal(sale.ReasonItemNotFound))
		first, err := a.PlaceFlashOrder(ctx, request(p, "ann", "first", "a", 1))
		Expect(err).NotTo(HaveOccurred())

		p.Paused = true
		Expect(provision.PutPromotion(ctx, js, p)).To(Succeed())
		Eventually(reason).WithArguments("a").Should(Equal(sale.ReasonPaused))
		again, err := a.PlaceFlashOrder(ctx, request(p, "ann", "first", "a", 1))
		Expect(err).NotTo(HaveOccurred(), "a retry of what was accepted before")
		Expect(again.OrderId).To(Equal(first.OrderId))
		p.Paused = false
		p.Items[0].Off = true
		Expect(provision.PutPromotion(ctx, js, p)).To(Succeed())
		Eventually(reason).WithArguments("a").Should(Equal(sale.ReasonItemOff))
		start := time.Now().Add(time.Hour)
		p.StartUnixMs, p.EndUnixMs = start.UnixMilli(), start.Add(time.Hour).UnixMilli()
		Expect(provision.PutPromotion(ctx, js, p)).To(Succeed())
		Eventually(reason).WithArguments("a").Should(Equal(sale.ReasonNotStarted))
		got, err := a.GetPromotion(ctx, &flashv1.GetPromotionRequest{Promotion: p.Name})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.StartTime.AsTime().UnixMilli()).To(Equal(p.StartUnixMs))
		Expect(got.Items[0].Off).To(BeTrue())
		Expect(provision.DeletePromotion(ctx, js, p.Uid)).To(Succeed())
		Eventually(reason).WithArguments("a").Should(Equal(sale.ReasonPromotionNotFound))
	})

	It("releases through any pod, while the sale is open, after it is closed and after it is gone", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		ready(pods...)
		buyers := []string{buyerOf(0, 8, 1), buyerOf(1, 8, 1), buyerOf(2, 8, 1), buyerOf(3, 8, 1)}
		placed := map[string]uuid.UUID{}
		for _, buyer := range buyers {
			got := insist(ctx, func(int) flash.Service { return pods[0].Service }, request(p, buyer, "r", "b", 1))
			placed[buyer] = uuid.MustParse(got.order)
		}
		release := func(i int, buyer string) (flashv1.ReleaseOutcome, error) {
			client := flash.NewReleaseClient("http://" + pods[i].address)
			return client.Release(ctx, p.Uid, buyer, placed[buyer], flashv1.ReleaseReason_RELEASE_REASON_EXPIRED)
		}
		for i := range pods {
			Expect(release(i, buyers[0])).To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED))
		}
		got, err := pods[1].GetFlashOrder(ctx, &flashv1.GetFlashOrderRequest{Promotion: p.Name, BuyerId: buyers[0], RequestId: "r"})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.State).To(Equal(flashv1.FlashOrderState_FLASH_ORDER_STATE_RELEASED))

		By("closing the sale")
		_, err = provision.ClosePartitions(ctx, js, p, "operator")
		Expect(err).NotTo(HaveOccurred())
		p.Closed = true
		Expect(provision.PutPromotion(ctx, js, p)).To(Succeed())
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
		Expect(provision.DeletePromotion(ctx, js, p.Uid)).To(Succeed())
		Expect(provision.DeleteStream(ctx, js, p)).To(Succeed())
		Eventually(release).WithArguments(0, buyers[3]).Should(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED))
	})

	It("sells again what is released after it was sold out", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		ready(pods...)
		var last outcome
		var lastBuyer string
		for i := range 5 {
			lastBuyer = fmt.Sprint("buyer-", i)
			last = insist(ctx, func(attempt int) flash.Service { return pods[(i+attempt)%2].Service }, request(p, lastBuyer, "r", "b", 1))
			Expect(last.order).NotTo(BeEmpty())
		}
		late := request(p, buyerOf(5, 8, 77), "r", "b", 1)
		Expect(insist(ctx, func(int) flash.Service { return pods[0].Service }, late).reason).To(Equal(sale.ReasonSoldOut))
		got, err := pods[0].GetPromotion(ctx, &flashv1.GetPromotionRequest{Promotion: p.Name})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Items[1].SoldOut).To(BeTrue())

		Expect(flash.NewReleaseClient("http://"+pods[1].address).Release(ctx, p.Uid, lastBuyer, uuid.MustParse(last.order), flashv1.ReleaseReason_RELEASE_REASON_CANCELLED)).
			To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED))
		Eventually(func() string {
			return insist(ctx, func(int) flash.Service { return pods[0].Service }, late).order
		}).ShouldNot(BeEmpty())
		Expect(sales(ctx, js, p)["b"]).To(Equal(provision.Total{SKU: "b", Allocated: 5, Sold: 5}))
	})
})

// unreliableLog loses the acknowledgement of every seventh append of reservations and of every third
// transfer, some before and some after they landed.
type unreliableLog struct {
	plog.Log
	count *atomic.Int64
}

func (l *unreliableLog) Append(ctx context.Context, entry plog.Entry) (uint64, error) {
	n := l.count.Add(1)
	if entry.Record.GetReserved() != nil && n%14 == 0 {
		return 0, errLostAck
	}
	sequence, err := l.Log.Append(ctx, entry)
	if entry.Record.GetReserved() != nil && n%14 == 7 {
		return 0, errLostAck
	}
	return sequence, err
}

func (l *unreliableLog) AppendBatch(ctx context.Context, entries []plog.Entry) (uint64, error) {
	n := l.count.Add(1)
	if n%6 == 0 {
		return 0, errLostAck
	}
	sequence, err := l.Log.AppendBatch(ctx, entries)
	if n%6 == 3 {
		return 0, errLostAck
	}
	return sequence, err
}

// skewed gives two of three buyers to partition 0.
func skewed(partitions int32, i int) string {
	if i%3 == 0 {
		return fmt.Sprint("buyer-", i)
	}
	return buyerOf(0, partitions, i)
}
