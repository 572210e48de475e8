package events_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1/couponv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1/deadletterv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/freight/v1/freightv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/payment/v1/paymentv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/push/v1/pushv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/reward/v1/rewardv1connect"
	"github.com/orderd-dev/orderd/orderd/config"
	"github.com/orderd-dev/orderd/orderd/serve"
	"github.com/orderd-dev/orderd/orderd/sim/carrier"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
	"github.com/orderd-dev/orderd/test/kit/testauth"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

// patience is how long a condition may take to come true on a busy machine.
const patience = 30 * time.Second

// world is a shop as the operator starts it, a standard pod and two workers, with everything that is outside of it.
type world struct {
	dir, databaseURL, natsURL, jwksURL string
	url                                string
	issuer                             *testauth.Issuer
	carrier                            *carrier.Simulator
	carrierURL                         string
	gateway                            *pushgateway.Gateway
	gatewayURL, gatewaySecret          string
	requests                           atomic.Int64
}

func newWorld() *world {
	GinkgoHelper()
	w := &world{dir: GinkgoT().TempDir(), databaseURL: testdb.NewMigrated(GinkgoTB()), natsURL: testnats.Run(GinkgoTB()).URL()}
	w.issuer, w.jwksURL = testauth.Start(GinkgoTB())
	w.carrier = carrier.New(carrier.Options{Name: "swift", Key: []byte("a key that only the tests have"), Clock: time.Now})
	carried := httptest.NewServer(w.carrier)
	DeferCleanup(carried.Close)
	w.carrierURL = carried.URL
	var key [32]byte
	_, err := rand.Read(key[:])
	Expect(err).NotTo(HaveOccurred())
	w.gatewaySecret = "whsec_" + base64.StdEncoding.EncodeToString(key[:])
	w.gateway, w.gatewayURL = pushgateway.Run(GinkgoTB(), w.gatewaySecret)
	w.url = w.start(config.RoleStandard, "standard-0")
	w.start(config.RoleWorker, "worker-0")
	w.start(config.RoleWorker, "worker-1")
	return w
}

func (w *world) secret(name, value string) string {
	GinkgoHelper()
	path := filepath.Join(w.dir, name)
	Expect(os.WriteFile(path, []byte(value), 0o600)).To(Succeed())
	return path
}

// start runs a pod in this process until the spec ends, waits until it is ready, and returns its URL.
func (w *world) start(role config.Role, name string) string {
	GinkgoHelper()
	c := config.Default()
	c.Cluster = "shop/test"
	c.HTTP.Address, c.HTTP.AdminAddress, c.HTTP.PeerAddress = testport.Own(GinkgoTB()), testport.Own(GinkgoTB()), testport.Own(GinkgoTB())
	c.HTTP.DrainDelay = config.Duration(time.Millisecond)
	c.Database = config.Database{URLFile: w.secret("url", w.databaseURL), MaxConnections: 12}
	c.Messaging.URL = w.natsURL
	c.Orders.IDKeyFile = w.secret("id", "0123456789abcdef")
	c.Flash.PeerURL = "http://127.0.0.1:1"
	c.Payments = []config.Payment{{
		Provider: "sandbox", SecretFile: w.secret("sandbox", "a key that only the tests have"), PublicURL: "http://" + c.HTTP.Address, NotifyURL: "http://" + c.HTTP.Address,
	}}
	c.Carriers = []config.Carrier{{Name: "swift", URL: w.carrierURL, SecretFile: w.secret("carrier", "a key that only the tests have")}}
	c.Push = config.Push{URL: w.gatewayURL, SecretFile: w.secret("push", w.gatewaySecret)}
	c.Auth.Issuer, c.Auth.Audience, c.Auth.JWKSURL = testauth.IssuerName, testauth.Audience, w.jwksURL

	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- serve.Run(ctx, serve.Options{
			Role: role, Config: c, Name: name, Version: "test", Log: slog.New(slog.NewTextHandler(GinkgoWriter, nil)).With("pod", name),
		})
	}()
	DeferCleanup(func() {
		stop()
		Eventually(done).WithTimeout(patience).Should(Receive(Succeed()))
	})
	Eventually(func() (int, error) {
		res, err := http.Get("http://" + c.HTTP.AdminAddress + "/readyz")
		if err != nil {
			return 0, err
		}
		return res.StatusCode, res.Body.Close()
	}).WithTimeout(patience).Should(Equal(http.StatusOK))
	return "http://" + c.HTTP.Address
}

// request is an id that was not used before.
func (w *world) request() string { return fmt.Sprintf("request-%d", w.requests.Add(1)) }

// caller is somebody with a token.
type caller struct {
	catalog  catalogv1connect.CatalogServiceClient
	freight  freightv1connect.FreightServiceClient
	coupons  couponv1connect.CouponServiceClient
	rewards  rewardv1connect.RewardServiceClient
	orders   orderv1connect.OrderServiceClient
	payments paymentv1connect.PaymentServiceClient
	push     pushv1connect.PushServiceClient
	letters  deadletterv1connect.DeadLetterServiceClient
}

func (w *world) caller(subject string, roles ...string) *caller {
	c := connect.NewClient(connecthttp.NewTransport(http.DefaultClient, w.url), issuer.Bearer(w.issuer.Token(subject, roles...)))
	return &caller{
		catalog: catalogv1connect.NewCatalogServiceClient(c), freight: freightv1connect.NewFreightServiceClient(c), coupons: couponv1connect.NewCouponServiceClient(c),
		rewards: rewardv1connect.NewRewardServiceClient(c), orders: orderv1connect.NewOrderServiceClient(c), payments: paymentv1connect.NewPaymentServiceClient(c),
		push: pushv1connect.NewPushServiceClient(c), letters: deadletterv1connect.NewDeadLetterServiceClient(c),
	}
}

func (w *world) staff() *caller {
	return w.caller("carol", "catalog", "shipping", "marketing", "operations")
}
func (w *world) buyer(name string) *caller { return w.caller(name, "buyer") }

// must is for calls that a spec is not about.
func must[T any](answer T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return answer
}
