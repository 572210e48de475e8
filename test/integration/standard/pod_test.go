package standard_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/validate"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/payment/v1/paymentv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
)

const (
	merchant       = "shop/main"
	paymentTimeout = 30 * time.Minute
	quoteTTL       = 15 * time.Minute
	connections    = 12
)

// sandboxKey is the same in every process of a test.
func sandboxKey() []byte { return []byte("a key that only the tests have") }

// clock is the real one, moved forward at will.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(by time.Duration) { c.offset.Add(int64(by)) }

// pod is what a pod of the standard pool serves, without its limits.
type pod struct {
	url      string
	pool     *pgxpool.Pool
	clock    *clock
	registry *prometheus.Registry
	orders   *order.Store
	payments *payment.Service
	sandbox  *sandbox.Sandbox
	server   *http.Server

	orderService   *order.Service
	catalogService *catalog.Service
}

// podOptions are what some tests change.
type podOptions struct {
	// wrapProvider stands between the payments and the sandbox.
	wrapProvider func(*sandbox.Sandbox) payment.Provider
	// wrapOrders stands between the network and the orders.
	wrapOrders func(orderv1connect.OrderServiceHandler) orderv1connect.OrderServiceHandler
	// notifyURL is the pod itself if empty.
	notifyURL string
}

// startPod serves on a loopback port until stop is called.
func startPod(databaseURL string, o podOptions) (*pod, error) {
	ctx := context.Background()
	registry := prometheus.NewRegistry()
	pool, err := database.Open(ctx, databaseURL, connections, database.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	p := &pod{pool: pool, clock: &clock{}, registry: registry}
	hexKey, err := database.OrderIDKey(ctx, pool)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(hexKey)
	if err != nil {
		return nil, err
	}
	ids, err := orderid.NewGenerator(key, p.clock.now, rand.Reader)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	p.orders, err = order.NewStore(order.Options{
		Pool: pool, Clock: p.clock.now, Logger: log, Registerer: registry,
		Refunder: payment.NewRefunds(payment.RefundsOptions{Random: rand.Reader}),
	})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.url = "http://" + listener.Addr().String()
	if err := p.servePayments(o, log); err != nil {
		return nil, err
	}
	tokens, err := quote.NewTokens(key, quoteTTL)
	if err != nil {
		return nil, err
	}
	p.orderService = order.NewService(order.ServiceOptions{
		Store:          p.orders,
		IDs:            ids,
		Tokens:         tokens,
		PaymentTimeout: paymentTimeout,
		Random:         mathrand.New(mathrand.NewPCG(1, 2)),
	})
	p.catalogService = catalog.NewService(catalog.Options{Pool: pool, Clock: p.clock.now})
	p.server = &http.Server{Handler: p.handler(o), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// servePayments makes the sandbox and the payments through it.
func (p *pod) servePayments(o podOptions, log *slog.Logger) error {
	if o.notifyURL == "" {
		o.notifyURL = p.url
	}
	var err error
	p.sandbox, err = sandbox.New(sandbox.Options{
		Pool:      p.pool,
		Key:       sandboxKey(),
		Merchant:  merchant,
		PublicURL: p.url,
		NotifyURL: o.notifyURL,
		Clock:     p.clock.now,
		Logger:    log,
	})
	if err != nil {
		return err
	}
	var provider payment.Provider = p.sandbox
	if o.wrapProvider != nil {
		provider = o.wrapProvider(p.sandbox)
	}
	p.payments, err = payment.NewService(payment.Options{
		Pool:       p.pool,
		Orders:     p.orders,
		Providers:  []payment.Provider{provider},
		Clock:      p.clock.now,
		Random:     rand.Reader,
		Logger:     log,
		Registerer: p.registry,
	})
	return err
}

func (p *pod) handler(o podOptions) http.Handler {
	var orders orderv1connect.OrderServiceHandler = p.orderService
	if o.wrapOrders != nil {
		orders = o.wrapOrders(orders)
	}
	rpc := connect.NewServer(validate.NewServerInterceptor())
	catalogv1connect.RegisterCatalogServiceHandler(rpc, p.catalogService)
	orderv1connect.RegisterOrderServiceHandler(rpc, orders)
	paymentv1connect.RegisterPaymentServiceHandler(rpc, p.payments)
	mux := http.NewServeMux()
	connecthttp.Mount(mux, rpc)
	mux.Handle("POST /notifications/{provider}", payment.NotificationHandler(p.payments))
	for pattern, page := range p.sandbox.Pages() {
		mux.Handle(pattern, page)
	}
	return mux
}

func (p *pod) stop() {
	_ = p.server.Close()
	p.pool.Close()
}

// clients call a pod as an app does.
type clients struct {
	catalog  catalogv1connect.CatalogServiceClient
	orders   orderv1connect.OrderServiceClient
	payments paymentv1connect.PaymentServiceClient
}

func clientsOf(url string) clients {
	c := connect.NewClient(connecthttp.NewTransport(http.DefaultClient, url))
	return clients{
		catalog: catalogv1connect.NewCatalogServiceClient(c), orders: orderv1connect.NewOrderServiceClient(c),
		payments: paymentv1connect.NewPaymentServiceClient(c),
	}
}
