package journeys

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	"github.com/orderd-dev/orderd/orderd/config"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/outbox"
	"github.com/orderd-dev/orderd/orderd/payment/sandbox"
	"github.com/orderd-dev/orderd/orderd/sim/carrier"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
	"github.com/orderd-dev/orderd/test/kit/testauth"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

const (
	// patience is how long a condition may take to come true on a busy machine whose pods are killed and whose carrier's breaker may be open, twice.
	patience   = 3 * time.Minute
	cluster    = "shop/main"
	carrierKey = "a key that carrier and shop share"
	sandboxKey = "a key that only the tests have"
	// hastyTimeout is how long orders of the hasty pod wait for their payment.
	hastyTimeout = 2 * time.Second
	// redelivery is how soon events of a killed worker come again, instead of after half a minute. A busy worker gets some of
	// them twice by it, which changes nothing either.
	redelivery = time.Second
)

// world is an orderd of pods that are killed, with everything around it that is not.
type world struct {
	*testing.T
	dir       string
	logs      *logs
	pool      *pgxpool.Pool
	js        jetstream.JetStream
	messaging *testnats.Server
	// faults that there were.
	faults                 []string
	issuer                 *testauth.Issuer
	carrier                *carrier.Simulator
	gateway                *pushgateway.Gateway
	provider               *sandbox.Sandbox
	config                 config.Config
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
	w := &world{T: t, dir: t.TempDir(), logs: &logs{}, config: config.Default()}
	t.Cleanup(func() {
		if path := os.Getenv("ORDERD_JOURNEY_LOGS"); path != "" && t.Failed() {
			w.must(os.WriteFile(path, w.logs.text.Bytes(), 0o600))
		}
	})
	url := testdb.NewMigrated(t)
	var err error
	w.pool, err = database.Open(context.Background(), url+"&application_name=journeys", 24)
	w.must(err)
	t.Cleanup(w.pool.Close)
	w.messaging = testnats.Run(t)
	w.js = w.messaging.JetStream(t)
	w.must(provision.EnsureBuckets(context.Background(), w.js, 1))
	var jwks string
	w.issuer, jwks = testauth.Start(t)

	front, back, hasty := testport.Own(w), testport.Own(w), testport.Own(w)
	w.url, w.backURL, w.hastyURL = "http://"+front, "http://"+back, "http://"+hasty
	c := &w.config
	c.Cluster = cluster
	c.Database = config.Database{URLFile: w.secret("url", url), MaxConnections: 12}
	c.Messaging.URL = w.messaging.URL()
	c.Orders.IDKeyFile = w.secret("key", hex.EncodeToString([]byte("0123456789abcdef")))
	c.Auth.Issuer, c.Auth.Audience, c.Auth.JWKSURL = testauth.IssuerName, testauth.Audience, jwks
	c.Auth.RequestsPerSecond, c.Auth.Burst = 10000, 10000
	c.Flash.PeerURL = "http://" + testport.Own(w)
	c.Payments = []config.Payment{{Provider: "sandbox", SecretFile: w.secret("sandbox", sandboxKey), PublicURL: w.url, NotifyURL: w.url}}
	w.provider, err = sandbox.New(sandbox.Options{Pool: w.pool, Key: []byte(sandboxKey), Merchant: cluster, PublicURL: w.url, Clock: time.Now})
	w.must(err)
	w.around()

	w.front = w.start(config.RoleStandard, "front", front, c.Orders.PaymentTimeout)
	w.back = w.start(config.RoleStandard, "back", back, c.Orders.PaymentTimeout)
	w.hasty = w.start(config.RoleStandard, "hasty", hasty, config.Duration(hastyTimeout))
	w.worker = w.start(config.RoleWorker, "worker", testport.Own(w), c.Orders.PaymentTimeout)
	for _, p := range w.pods() {
		w.must(p.untilReady())
	}
	w.hurry()
	w.staff = w.clients(w.url, w.issuer.Token("sam", "catalog", "returns", "shipping", "marketing", "reports", "operations"))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) pods() []*pod { return []*pod{w.front, w.back, w.hasty, w.worker} }

func (w *world) secret(name, value string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	w.must(os.WriteFile(path, []byte(value), 0o600))
	return path
}

// around starts the carrier and the push gateway.
func (w *world) around() {
	w.Helper()
	w.carrier = carrier.New(carrier.Options{Name: "express", Key: []byte(carrierKey), ShopURL: w.url, Clock: time.Now})
	server := httptest.NewServer(w.carrier)
	w.Cleanup(server.Close)
	w.config.Carriers = []config.Carrier{{Name: "express", URL: server.URL, SecretFile: w.secret("carrier", carrierKey)}}
	secret := "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
	var err error
	w.gateway, err = pushgateway.New(time.Now, secret)
	w.must(err)
	pushes := httptest.NewServer(w.gateway)
	w.Cleanup(pushes.Close)
	w.config.Push = config.Push{URL: pushes.URL, SecretFile: w.secret("push", secret)}
}

func (w *world) start(role config.Role, name, address string, paymentTimeout config.Duration) *pod {
	w.Helper()
	c := w.config
	c.Orders.PaymentTimeout = paymentTimeout
	c.HTTP.Address, c.HTTP.AdminAddress, c.HTTP.PeerAddress = address, testport.Own(w), testport.Own(w)
	raw, err := yaml.Marshal(c)
	w.must(err)
	p := &pod{w: w, role: role, name: name, config: w.secret(name+".yaml", string(raw)), admin: c.HTTP.AdminAddress}
	w.must(p.start())
	w.Cleanup(p.stop)
	return p
}

// consumers are those of the worker role.
func consumers() []string { return []string{"reward", "payment", "shipment", "push"} }

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
