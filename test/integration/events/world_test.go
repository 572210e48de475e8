package events_test

import (
	"fmt"
	"net/http"
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
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/sim/carrier"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
	"github.com/orderd-dev/orderd/test/kit/testshop"
)

// patience is how long a condition may take to come true on a busy machine.
const patience = 2 * time.Minute

// world is a shop as the operator starts it, a standard pod and two workers, with everything that is
// outside of it.
type world struct {
	*testshop.Shop
	url      string
	carrier  *carrier.Simulator
	gateway  *pushgateway.Gateway
	requests atomic.Int64
}

func newWorld() *world {
	GinkgoHelper()
	w := &world{Shop: testshop.New(GinkgoTB(), GinkgoWriter)}
	w.carrier, _ = w.Carrier("swift", "")
	w.gateway, _ = w.PushGateway(nil)
	w.url = w.Ready(config.RoleStandard, "standard-0", w.Pod()).URL
	w.Ready(config.RoleWorker, "worker-0", w.Pod())
	w.Ready(config.RoleWorker, "worker-1", w.Pod())
	return w
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
	c := connect.NewClient(connecthttp.NewTransport(http.DefaultClient, w.url),
		issuer.Bearer(w.Issuer.Token(subject, roles...)))
	return &caller{
		catalog:  catalogv1connect.NewCatalogServiceClient(c),
		freight:  freightv1connect.NewFreightServiceClient(c),
		coupons:  couponv1connect.NewCouponServiceClient(c),
		rewards:  rewardv1connect.NewRewardServiceClient(c),
		orders:   orderv1connect.NewOrderServiceClient(c),
		payments: paymentv1connect.NewPaymentServiceClient(c),
		push:     pushv1connect.NewPushServiceClient(c),
		letters:  deadletterv1connect.NewDeadLetterServiceClient(c),
	}
}

func (w *world) staff() *caller {
	return w.caller("carol", "catalog", "fulfilment", "marketing", "operations")
}
func (w *world) buyer(name string) *caller { return w.caller(name, "buyer") }

// must is for calls that a spec is not about.
func must[T any](answer T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return answer
}
