package journeys

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"sigs.k8s.io/yaml"

	addressv1connect "github.com/orderd-dev/orderd/api/gen/orderd/address/v1/addressv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/cart/v1/cartv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1/couponv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/freight/v1/freightv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/payment/v1/paymentv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/quote/v1/quotev1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/returns/v1/returnsv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/reward/v1/rewardv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
	"github.com/orderd-dev/orderd/orderd/sim/carrier"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
	"github.com/orderd-dev/orderd/test/kit/testnats"
	"github.com/orderd-dev/orderd/test/kit/testshop"
)

const (
	// patience is how long a condition may take to come true on a busy machine whose pods are killed
	// and whose carrier's breaker may be open, twice.
	patience = 3 * time.Minute
	cluster  = "shop/main"
	// hastyTimeout is how long orders of the hasty pod wait for their payment.
	hastyTimeout = 2 * time.Second
	// redelivery is how soon events of a killed worker come again, instead of after half a minute.
	// A busy worker gets some of them twice by it, which changes nothing either.
	redelivery = time.Second
)

// world is an orderd of pods that are killed, with everything around it that is not.
type world struct {
	*testing.T
	shop      *testshop.Shop
	logs      *logs
	pool      *pgxpool.Pool
	js        jetstream.JetStream
	messaging *testnats.Server
	// faults that there were.
	faults                 []string
	carrier                *carrier.Simulator
	gateway                *pushgateway.Gateway
	provider               *sandbox.Sandbox
	url, backURL, hastyURL string

	// front, back and hasty serve the same orderd; those who place at hasty have little time to pay.
	front, back, hasty, worker *pod
	staff                      clients
}

// logs are what the pods say, shown if the test fails.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, logs: &logs{}}
	t.Cleanup(func() {
		if path := os.Getenv("ORDERD_JOURNEY_LOGS"); path != "" && t.Failed() {
			w.must(os.WriteFile(path, w.logs.text.Bytes(), 0o600))
		}
	})
	w.shop = testshop.New(t, w.logs)
	var err error
	w.pool, err = database.Open(context.Background(), w.shop.DatabaseURL+"&application_name=journeys", 24)
	w.must(err)
	t.Cleanup(w.pool.Close)
	w.messaging = w.shop.NATS
	w.js = w.messaging.JetStream(t)
	w.must(sale.EnsureBuckets(context.Background(), w.js, 1))

	base := &w.shop.Config
	base.Cluster = cluster
	base.Auth.RequestsPerSecond, base.Auth.Burst = 10000, 10000
	front, back, hasty := w.shop.Pod(), w.shop.Pod(), w.shop.Pod()
	w.url, w.backURL, w.hastyURL = "http://"+front.HTTP.Address, "http://"+back.HTTP.Address, "http://"+hasty.HTTP.Address
	base.Payments = []config.Payment{w.shop.Sandbox(w.url)}
	w.provider, err = sandbox.New(sandbox.Options{
		Pool: w.pool, Key: []byte(testshop.SandboxKey), Merchant: cluster, PublicURL: w.url, NotifyURL: w.url,
		Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	w.must(err)
	w.carrier, _ = w.shop.Carrier("express", w.url)
	w.gateway, _ = w.shop.PushGateway(nil)

	timeout := base.Orders.PaymentTimeout
	w.front = w.start(config.RoleStandard, "front", front.HTTP, timeout)
	w.back = w.start(config.RoleStandard, "back", back.HTTP, timeout)
	w.hasty = w.start(config.RoleStandard, "hasty", hasty.HTTP, config.Duration(hastyTimeout))
	w.worker = w.start(config.RoleWorker, "worker", w.shop.Pod().HTTP, timeout)
	for _, p := range w.pods() {
		w.must(p.untilReady())
	}
	w.hurry()
	w.staff = w.clients(w.url,
		w.shop.Issuer.Token("sam", "support", "fulfilment", "returns", "finance", "catalog", "marketing", "operations"))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) pods() []*pod { return []*pod{w.front, w.back, w.hasty, w.worker} }

// start a pod in a process of its own.
func (w *world) start(role config.Role, name string, at config.HTTP, paymentTimeout config.Duration) *pod {
	w.Helper()
	c := w.shop.Config
	c.Orders.PaymentTimeout, c.HTTP = paymentTimeout, at
	raw, err := yaml.Marshal(c)
	w.must(err)
	p := &pod{w: w, role: role, name: name, config: w.shop.Secret(name+".yaml", string(raw)), admin: c.HTTP.AdminAddress}
	w.must(p.start())
	w.Cleanup(p.stop)
	return p
}

// consumers are those of the worker role.
func consumers() []string {
	return []string{"reward", "payment", "shipment", "desk", "invoice", "push"}
}

// hurry keeps the consumers' redelivery short, also after a new worker has set it.
func (w *world) hurry() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, name := range consumers() {
				c, err := w.js.Consumer(ctx, outbox.Stream, name)
				if err != nil || c.CachedInfo().Config.AckWait == redelivery {
					continue
				}
				settings := c.CachedInfo().Config
				settings.AckWait = redelivery
				_, _ = w.js.UpdateConsumer(ctx, outbox.Stream, settings)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// clients call orderd as one caller.
type clients struct {
	addresses addressv1connect.AddressServiceClient
	carts     cartv1connect.CartServiceClient
	catalog   catalogv1connect.CatalogServiceClient
	coupons   couponv1connect.CouponServiceClient
	freight   freightv1connect.FreightServiceClient
	orders    orderv1connect.OrderServiceClient
	payments  paymentv1connect.PaymentServiceClient
	quotes    quotev1connect.QuoteServiceClient
	returns   returnsv1connect.ReturnServiceClient
	rewards   rewardv1connect.RewardServiceClient
}

func (w *world) clients(url, token string) clients {
	c := connect.NewClient(connecthttp.NewTransport(http.DefaultClient, url), issuer.Bearer(token))
	return clients{
		addresses: addressv1connect.NewAddressServiceClient(c), carts: cartv1connect.NewCartServiceClient(c),
		catalog: catalogv1connect.NewCatalogServiceClient(c), coupons: couponv1connect.NewCouponServiceClient(c),
		freight: freightv1connect.NewFreightServiceClient(c), orders: orderv1connect.NewOrderServiceClient(c),
		payments: paymentv1connect.NewPaymentServiceClient(c), quotes: quotev1connect.NewQuoteServiceClient(c),
		returns: returnsv1connect.NewReturnServiceClient(c), rewards: rewardv1connect.NewRewardServiceClient(c),
	}
}
