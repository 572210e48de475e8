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
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
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

var _ = Describe("A pool of flash pods", func() {
	It("sells exactly its stock over eight partitions, with most buyers in one of them", func(ctx SpecContext) {
		js := newJetStream()
		items := []provision.Item{{SKU: "a", Quantity: 200}, {SKU: "b", Quantity: 5}, {SKU: "c", Quantity: 60}}
		p := newPromotion(8, 2, items...)
		open(ctx, js, p, items...)
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil), startPod(js, "pod-c", nil)}
		for _, pod := range pods {
			Eventually(pod.Ready).Should(Succeed())
		}

		var mu sync.Mutex
		answers := map[string]outcome{}
		var group sync.WaitGroup
		for worker := range 16 {
			group.Go(func() {
				defer GinkgoRecover()
				for i := range 60 {
					buyer := skewed(p.Partitions, worker*60+i)
					sku := items[(worker+i)%3].SKU
					quantity := int64(1)
					if sku == "c" {
						quantity = 2
					}
					r := request(p, buyer, fmt.Sprint("r-", i), sku, quantity)
					got := insist(ctx, func(attempt int) flash.Service { return pods[(worker+attempt)%3].Service }, r)
					mu.Lock()
					answers[buyer+"/"+r.RequestId+"/"+sku] = got
					mu.Unlock()
				}
			})
		}
		group.Wait()

		sold := map[string]int{}
		inLog := orders(ctx, js, p)
		for key, got := range answers {
			if got.order != "" {
				sold[key[len(key)-1:]]++
				continue
			}
			Expect(got.reason).To(Equal(sale.ReasonSoldOut), key)
		}
		Expect(sold).To(Equal(map[string]int{"a": 200, "b": 5, "c": 30}))
		Expect(inLog).To(HaveLen(235))
		Expect(sales(ctx, js, p)).To(Equal(map[string]provision.Total{
			"a": {SKU: "a", Allocated: 200, Sold: 200}, "b": {SKU: "b", Allocated: 5, Sold: 5}, "c": {SKU: "c", Allocated: 60, Sold: 60},
		}))
	})
})

// skewed gives two of three buyers to partition 0.
func skewed(partitions int32, i int) string {
	if i%3 == 0 {
		return fmt.Sprint("buyer-", i)
	}
	return buyerOf(0, partitions, i)
}
