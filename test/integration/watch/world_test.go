package watch_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/serve"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/kit/testshop"
)

// patience is how long a condition may take to come true on a busy machine.
const patience = 2 * time.Minute

// world is a shop of two standard pods and, unless it is left out, a worker.
type world struct {
	*testshop.Shop
	one, two *pod
	requests atomic.Int64
}

// newWorld has SKUs on sale.
func newWorld(ctx context.Context, worker bool) *world {
	GinkgoHelper()
	w := &world{Shop: testshop.New(GinkgoTB(), GinkgoWriter)}
	// Streams last as long as a spec does not end them.
	w.Config.HTTP.MaxConnectionAge = 0
	w.one, w.two = w.start("standard-0", w.Pod()), w.start("standard-1", w.Pod())
	if worker {
		w.Ready(config.RoleWorker, "worker-0", w.Pod())
	}
	staff := catalogv1connect.NewCatalogServiceClient(w.client(w.one, "carol", "catalog"))
	for _, sku := range []string{"tea", "cup"} {
		must(staff.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{RequestId: w.request(), Sku: &catalogv1.Sku{
			Sku: sku, Title: "A " + sku, Price: &moneyv1.Money{Amount: 250, Currency: "CNY"}, OnSale: true,
		}}))
		must(staff.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: w.request(), Sku: sku, Delta: 1000}))
	}
	return w
}

// request is an id that was not used before.
func (w *world) request() string { return fmt.Sprintf("request-%d", w.requests.Add(1)) }

// pod is a standard pod that a spec may stop and start again.
type pod struct {
	*testshop.Pod
	config config.Config
	stop   func()
}

func (w *world) start(name string, c config.Config) *pod {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- serve.Run(ctx, serve.Options{
			Role: config.RoleStandard, Config: c, Name: name, Version: "test",
			Log: slog.New(slog.NewTextHandler(GinkgoWriter, nil)).With("pod", name),
		})
	}()
	p := &pod{Pod: testshop.PodAt(name, c), config: c, stop: sync.OnceFunc(func() {
		cancel()
		Eventually(ended).Should(Receive(Not(HaveOccurred())))
	})}
	DeferCleanup(p.stop)
	Eventually(p.Health).Should(Equal(http.StatusOK))
	return p
}

// client calls with a token, over HTTP/2 as streams need it.
func (w *world) client(p *pod, subject string, roles ...string) *connect.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	DeferCleanup(transport.CloseIdleConnections)
	return connect.NewClient(connecthttp.NewTransport(&http.Client{Transport: transport}, p.URL),
		issuer.Bearer(w.Issuer.Token(subject, roles...)))
}

// buyer calls a pod.
func (w *world) buyer(p *pod, name string) orderv1connect.OrderServiceClient {
	return orderv1connect.NewOrderServiceClient(w.client(p, name, "buyer"))
}

// place an order.
func (w *world) place(ctx context.Context, p *pod, buyer string) *orderv1.Order {
	GinkgoHelper()
	return must(w.buyer(p, buyer).PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
		RequestId: w.request(), Lines: []*orderv1.PlaceOrderLine{{Sku: "tea", Quantity: 1}, {Sku: "cup", Quantity: 2}},
	})).GetOrder()
}

// cancel an order of ann's.
func (w *world) cancel(ctx context.Context, p *pod, id string) {
	GinkgoHelper()
	must(w.buyer(p, "ann").CancelOrder(ctx, &orderv1.CancelOrderRequest{RequestId: w.request(), OrderId: id}))
}

// stream receives what a stream brings.
type stream[M any] struct {
	messages chan M
	// ended has why the stream ended.
	ended chan error
}

// receive in the background.
func receive[M any](next func() (M, error), err error) *stream[M] {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	s := &stream[M]{messages: make(chan M, 1000), ended: make(chan error, 1)}
	go func() {
		for {
			m, err := next()
			if err != nil {
				s.ended <- err
				return
			}
			s.messages <- m
		}
	}()
	return s
}

// next message that is no sign of life.
func (s *stream[M]) next() M {
	GinkgoHelper()
	var m M
	Eventually(s.messages).Should(Receive(&m))
	return m
}

// end waits for the end of the stream, and says why it is.
func (s *stream[M]) end() error {
	GinkgoHelper()
	var err error
	Eventually(s.ended).Should(Receive(&err))
	return err
}

func (w *world) watchOrder(ctx context.Context, p *pod, buyer string, req *orderv1.WatchOrderRequest) *orderStream {
	GinkgoHelper()
	answers, err := w.buyer(p, buyer).WatchOrder(ctx, req)
	return &orderStream{receive(answers.Receive, err)}
}

type orderStream struct {
	*stream[*orderv1.WatchOrderResponse]
}

// order that comes next.
func (s *orderStream) order() *orderv1.Order {
	GinkgoHelper()
	for {
		if o := s.next().GetOrder(); o != nil {
			return o
		}
	}
}

// until the order has a state; in between versions only rise.
func (s *orderStream) until(state orderv1.OrderState) *orderv1.Order {
	GinkgoHelper()
	for last := int64(-1); ; {
		o := s.order()
		Expect(o.GetVersion()).To(BeNumerically(">", last))
		last = o.GetVersion()
		if o.GetState() == state {
			return o
		}
	}
}

// watchOrders of ann's.
func (w *world) watchOrders(ctx context.Context, p *pod, token string) *buyerStream {
	GinkgoHelper()
	answers, err := w.buyer(p, "ann").WatchOrders(ctx, &orderv1.WatchOrdersRequest{ResumeToken: token})
	return &buyerStream{stream: receive(answers.Receive, err)}
}

type buyerStream struct {
	*stream[*orderv1.WatchOrdersResponse]

	token string
}

// begins to watch ann's orders: with a token alone, once the pod follows the stream of events.
func (w *world) begins(ctx context.Context, p *pod, token string) *buyerStream {
	GinkgoHelper()
	var s *buyerStream
	Eventually(func(g Gomega) {
		s = w.watchOrders(ctx, p, token)
		var first *orderv1.WatchOrdersResponse
		var err error
		g.Eventually(func() bool {
			select {
			case first = <-s.messages:
				return true
			case err = <-s.ended:
				return true
			default:
				return false
			}
		}).Should(BeTrue())
		g.Expect(err).NotTo(HaveOccurred())
		Expect(first.GetOrder()).To(BeNil())
		Expect(first.GetResumeToken()).NotTo(BeEmpty())
		s.token = first.GetResumeToken()
	}).Should(Succeed())
	return s
}

// order that comes next.
func (s *buyerStream) order() *orderv1.OrderSummary {
	GinkgoHelper()
	for {
		m := s.next()
		Expect(m.GetResumeToken()).NotTo(BeEmpty())
		s.token = m.GetResumeToken()
		if m.GetOrder() != nil {
			return m.GetOrder()
		}
	}
}

// until the order has a state.
func (s *buyerStream) until(id string, state orderv1.OrderState) *orderv1.OrderSummary {
	GinkgoHelper()
	for {
		if o := s.order(); o.GetOrderId() == id && o.GetState() == state {
			return o
		}
	}
}

// must is for calls that a spec is not about.
func must[T any](answer T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return answer
}

// failWith matches an RPC's error by its code and reason.
func failWith(code connect.Code, reason string) types.GomegaMatcher {
	return And(HaveOccurred(), WithTransform(connect.CodeOf, Equal(code)), WithTransform(rpcerr.Reason, Equal(reason)))
}
