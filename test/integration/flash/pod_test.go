package flash_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	flashpod "github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// pod is a flash pod in the test's process, with its services on loopback.
type pod struct {
	*flashpod.Pod
	*flashpod.Service
	address string
	stop    func()
}

func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(GinkgoWriter, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// startPod runs a pod until stop, which is as sudden as a kill, or the test's end.
func startPod(js jetstream.JetStream, name string, wrap func(plog.Log) plog.Log) *pod {
	GinkgoHelper()
	p, err := runPod(js, name, wrap, logger())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { p.stop() })
	return p
}

// startPodAt runs a pod whose own clock is not the machine's.
func startPodAt(js jetstream.JetStream, name string, clock func() time.Time) *pod {
	GinkgoHelper()
	p, err := runPodAt(js, name, clock, nil, logger())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { p.stop() })
	return p
}

func runPod(js jetstream.JetStream, name string, wrap func(plog.Log) plog.Log, log *slog.Logger) (*pod, error) {
	return runPodAt(js, name, time.Now, wrap, log)
}

func runPodAt(
	js jetstream.JetStream, name string, clock func() time.Time, wrap func(plog.Log) plog.Log, log *slog.Logger,
) (*pod, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return runPodOn(listener, js, name, clock, wrap, log)
}

// runPodOn runs a pod that others reach where it listens.
func runPodOn(
	listener net.Listener, js jetstream.JetStream, name string, clock func() time.Time, wrap func(plog.Log) plog.Log,
	log *slog.Logger,
) (*pod, error) {
	ids, err := orderid.NewGenerator([]byte("0123456789abcdef"), clock, rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &pod{address: listener.Addr().String()}
	p.Pod, err = flashpod.New(flashpod.Options{
		JetStream: js, Replicas: 1, Name: name, Advertise: p.address, Clock: clock,
		Random: mathrand.New(mathrand.NewPCG(1, uint64(len(name)))), OrderIDs: ids,
		Logger: log.With("pod", name), Registerer: prometheus.NewRegistry(), WrapLog: wrap,
	})
	if err != nil {
		return nil, err
	}
	p.Service = p.FlashService()
	server := connect.NewServer()
	flashv1connect.RegisterPeerServiceHandler(server, p.PeerService())
	flashv1connect.RegisterFlashServiceHandler(server, p.Service)
	mux := http.NewServeMux()
	// As pods do on streams.
	connecthttp.Mount(mux, server, connecthttp.WithCompressMinBytes(math.MaxInt))
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	httpServer := &http.Server{Handler: mux, Protocols: protocols}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = httpServer.Serve(listener) })
	group.Go(func() { _ = p.Run(ctx) })
	p.stop = sync.OnceFunc(func() {
		cancel()
		_ = httpServer.Close()
		group.Wait()
	})
	return p, nil
}

// request of one unit of a SKU.
func request(p *flashv1.Promotion, buyer, id, sku string, quantity int64) *flashv1.PlaceFlashOrderRequest {
	return &flashv1.PlaceFlashOrderRequest{
		Promotion: p.Name,
		BuyerId:   buyer,
		RequestId: id,
		Items:     []*flashv1.FlashOrderItem{{Sku: sku, Quantity: quantity}},
	}
}

// outcome is the last answer to a request that was repeated until it was not UNAVAILABLE.
type outcome struct {
	order  string
	reason string
}

// insist repeats a request, each time through the next pod, as a buyer's app does.
func insist(ctx context.Context, pods func(attempt int) *flashpod.Service, r *flashv1.PlaceFlashOrderRequest) outcome {
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
func sales(ctx context.Context, js jetstream.JetStream, p *flashv1.Promotion) map[string]prepare.Total {
	GinkgoHelper()
	totals, err := prepare.Totals(ctx, js, p)
	Expect(err).NotTo(HaveOccurred())
	bySKU := map[string]prepare.Total{}
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

// rush sends size buyers, of whom 16 are active at once and two of three in partition
// 0, through the pods.
func rush(ctx context.Context, p *flashv1.Promotion, pods []*pod, size int) *crowd {
	return rushTo(ctx, 0, p, pods, size)
}

func rushTo(ctx context.Context, hot int32, p *flashv1.Promotion, pods []*pod, size int) *crowd {
	c := &crowd{answers: map[string]outcome{}}
	const active = 16
	for worker := range active {
		c.group.Go(func() {
			defer GinkgoRecover()
			for i := worker; i < size; i += active {
				r := request(p, skewed(hot, p.Partitions, i), fmt.Sprint("r-", i), p.Items[i%len(p.Items)].Sku, 1)
				got := insist(ctx, func(attempt int) *flashpod.Service { return pods[(i+attempt)%len(pods)].Service }, r)
				c.mu.Lock()
				c.answers[r.BuyerId+"/"+r.RequestId] = got
				c.mu.Unlock()
				c.answered.Add(1)
			}
		})
	}
	return c
}

// expectExactly waits for the crowd and compares its answers with the logs: everything is
// sold, every acknowledged order is there once, and nobody was refused for another reason than
// that it was sold out.
func (c *crowd) expectExactly(
	ctx context.Context, js jetstream.JetStream, p *flashv1.Promotion, want map[string]int64,
) {
	GinkgoHelper()
	c.group.Wait()
	inLog := orders(ctx, js, p)
	for key, got := range c.answers {
		if got.order == "" {
			Expect(got.reason).To(Equal(rpcerr.ReasonSoldOut), key)
			continue
		}
		Expect(inLog).To(HaveKey(key))
		Expect(orderIDOf(inLog[key])).To(Equal(got.order))
	}
	totals := sales(ctx, js, p)
	for sku, sold := range want {
		Expect(totals[sku]).To(Equal(prepare.Total{SKU: sku, Allocated: sold, Sold: sold}))
	}
}

func ready(pods ...*pod) {
	GinkgoHelper()
	for _, pod := range pods {
		Eventually(pod.Ready).Should(Succeed())
	}
}

// agree waits until every pod is ready and reaches each partition's last owner: one that knows of
// fewer pods than the others is ready as well, and its answers may be that a partition is moving.
// An owner proves that it is the last before it says that an order is not there.
func agree(ctx context.Context, p *flashv1.Promotion, pods ...*pod) {
	GinkgoHelper()
	ready(pods...)
	for _, pod := range pods {
		for n := range p.Partitions / int32(len(p.Streams)) {
			r := &flashv1.GetFlashOrderRequest{
				Promotion: p.Name,
				BuyerId:   buyerOf(n, p.Partitions/int32(len(p.Streams)), 0),
				RequestId: "nobody",
			}
			Eventually(func() string {
				_, err := pod.GetFlashOrder(ctx, r)
				return rpcerr.Reason(err)
			}).Should(Equal(rpcerr.ReasonOrderNotFound))
		}
	}
}

// losses of acknowledgements: of every seventh append of reservations and of every third transfer,
// by turns before and after they landed.
type losses struct{ reservations, transfers atomic.Int64 }

type unreliableLog struct {
	plog.Log
	*losses
}

func (l *unreliableLog) Append(ctx context.Context, entry plog.Entry) (uint64, error) {
	if !reserves(entry) {
		return l.Log.Append(ctx, entry)
	}
	return losing(l.reservations.Add(1), 7, func() (uint64, error) { return l.Log.Append(ctx, entry) })
}

func (l *unreliableLog) AppendBatch(ctx context.Context, entries []plog.Entry) (uint64, error) {
	return losing(l.transfers.Add(1), 3, func() (uint64, error) { return l.Log.AppendBatch(ctx, entries) })
}

// losing is one append, the nth, of which every so many-th is lost.
func losing(n, every int64, write func() (uint64, error)) (uint64, error) {
	if n%(2*every) == 0 {
		return 0, errLostAck
	}
	sequence, err := write()
	if n%(2*every) == every {
		return 0, errLostAck
	}
	return sequence, err
}

// skewed gives two of three buyers to one partition.
func skewed(hot, partitions int32, i int) string {
	if i%3 == 0 {
		return fmt.Sprint("buyer-", i)
	}
	return buyerOf(hot, partitions, i)
}
