package delivery_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
	simulator "github.com/orderd-dev/orderd/orderd/sim/carrier"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

const (
	swift       = "swift"
	buyer       = "ann"
	connections = 12
)

// waits are how long a buyer waits for a carrier, and how long one that failed is left alone.
type waits struct{ refresh, pause time.Duration }

// little is what most of these tests have.
var little = waits{refresh: 200 * time.Millisecond, pause: 100 * time.Millisecond}

func carrierKey() []byte { return []byte("a key that only the tests have") }

// world is a shop with one carrier.
type world struct {
	url     string
	pool    *pgxpool.Pool
	shop    *testorder.Shop
	store   *shipment.Store
	service *shipment.Service
	sim     *simulator.Simulator
	carrier string
	pushes  string
	breaker *carrier.Breaker
}

// newWorld has a database, a carrier's simulator and the handler that it pushes to. Nothing works
// in the background yet.
func newWorld(ctx context.Context) *world {
	GinkgoHelper()
	w := &world{url: testdb.NewMigrated(GinkgoTB())}
	var err error
	w.pool, err = database.Open(ctx, w.url, connections)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(w.pool.Close)
	w.shop, err = testorder.New(ctx, w.pool)
	Expect(err).NotTo(HaveOccurred())
	pushes := http.NewServeMux()
	shopServer := httptest.NewServer(pushes)
	DeferCleanup(shopServer.Close)
	w.pushes = shopServer.URL
	w.sim = simulator.New(
		simulator.Options{Name: swift, Key: carrierKey(), ShopURL: shopServer.URL, Clock: w.shop.Clock.Now},
	)
	carrierServer := httptest.NewUnstartedServer(w.sim)
	carrierServer.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	carrierServer.Start()
	DeferCleanup(carrierServer.Close)
	w.carrier = carrierServer.URL
	w.have(little)
	pushes.Handle("POST /carriers/{carrier}/events", shipment.PushHandler(w.store))
	return w
}

// have makes the pod's store anew.
func (w *world) have(p waits) {
	GinkgoHelper()
	var err error
	w.store, w.breaker, err = newStore(w.pool, w.shop, w.carrier, p, nil)
	Expect(err).NotTo(HaveOccurred())
	w.service = shipment.NewService(w.store)
}

// newStore makes what a pod has; wrap stands between it and the carrier.
func newStore(
	pool *pgxpool.Pool, shop *testorder.Shop, carrierURL string, p waits, wrap func(carrier.Carrier) carrier.Carrier,
) (*shipment.Store, *carrier.Breaker, error) {
	var c carrier.Carrier
	c, err := carrier.NewHTTP(
		carrier.HTTPOptions{Name: swift, URL: carrierURL, Key: carrierKey(), Clock: shop.Clock.Now, Random: rand.Reader},
	)
	if err != nil {
		return nil, nil, err
	}
	if wrap != nil {
		c = wrap(c)
	}
	log := slog.New(slog.DiscardHandler)
	b, err := carrier.NewBreaker(carrier.BreakerOptions{Carrier: c, Failures: 3, Pause: p.pause, Logger: log})
	if err != nil {
		return nil, nil, err
	}
	s, err := shipment.NewStore(shipment.Options{
		Pool:        pool,
		Orders:      shop.Orders,
		Carriers:    []carrier.Carrier{b},
		RefreshWait: p.refresh,
		Clock:       shop.Clock.Now,
		Random:      rand.Reader,
		Logger:      log,
	})
	return s, b, err
}

// work runs a worker until stop is called or the spec ends.
func (w *world) work(maxAttempts int64) (stop func()) {
	GinkgoHelper()
	worker, err := newWorker(w.store, maxAttempts)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = worker.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	DeferCleanup(stop)
	return stop
}

func newWorker(store *shipment.Store, maxAttempts int64) (*shipment.Worker, error) {
	return shipment.NewWorker(shipment.WorkerOptions{
		Store: store, MaxAttempts: maxAttempts, WorkerOptions: lease.WorkerOptions{
			Worker: uuid.NewString(), Interval: 20 * time.Millisecond, TTL: time.Second, Logger: slog.New(slog.DiscardHandler),
		},
	})
}

// paid makes a paid order and tells the consumer of it, once more than it has to.
func (w *world) paid(ctx context.Context, lines ...testorder.Line) uuid.UUID {
	GinkgoHelper()
	id, err := w.shop.Paid(ctx, buyer, true, lines...)
	Expect(err).NotTo(HaveOccurred())
	for range 2 {
		w.consume(ctx, id)
	}
	return id
}

func (w *world) consume(ctx context.Context, id uuid.UUID) {
	GinkgoHelper()
	event := &orderv1.OrderPaid{Order: &orderv1.Order{OrderId: id.String(), Version: 2}}
	Expect(
		w.tx(ctx, func(tx *database.Tx) error { return w.store.RequestForPaid(ctx, tx, event, w.shop.Clock.Now()) }),
	).To(Succeed())
}

func (w *world) tx(ctx context.Context, do func(*database.Tx) error) error {
	return database.ExecuteTx(ctx, w.pool, do)
}

// of are an order's shipments.
func (w *world) of(ctx context.Context, id uuid.UUID) []*shipmentv1.Shipment {
	GinkgoHelper()
	answer, err := w.service.ListOrderShipments(ctx,
		&shipmentv1.ListOrderShipmentsRequest{BuyerId: buyer, OrderId: id.String()})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetShipments()
}

// only is the order's one shipment, once its carrier has taken it.
func (w *world) only(ctx context.Context, id uuid.UUID) *shipmentv1.Shipment {
	GinkgoHelper()
	var out *shipmentv1.Shipment
	Eventually(func(g Gomega) {
		all := w.of(ctx, id)
		g.Expect(all).To(HaveLen(1))
		g.Expect(all[0].GetTrackingNumber()).NotTo(BeEmpty())
		out = all[0]
	}).Should(Succeed())
	return out
}

func (w *world) move(ctx context.Context, s *shipmentv1.Shipment, codes ...string) {
	GinkgoHelper()
	for _, code := range codes {
		Expect(w.sim.Move(ctx, s.GetShipmentId(), code)).To(Succeed())
	}
}

func (w *world) get(ctx context.Context, id string) *shipmentv1.GetShipmentResponse {
	GinkgoHelper()
	answer, err := w.service.GetShipment(ctx, &shipmentv1.GetShipmentRequest{ShipmentId: id})
	Expect(err).NotTo(HaveOccurred())
	return answer
}

// steps are the events in a shipment's history.
func (w *world) steps(ctx context.Context, id string) []string {
	GinkgoHelper()
	var out []string
	for _, c := range w.get(ctx, id).GetChanges() {
		out = append(out, c.GetEvent())
	}
	return out
}

func (w *world) order(ctx context.Context, id uuid.UUID) *order.Order {
	GinkgoHelper()
	o, err := w.shop.Get(ctx, buyer, id)
	Expect(err).NotTo(HaveOccurred())
	return o
}

func (w *world) create(
	ctx context.Context, id uuid.UUID, lines ...*shipmentv1.ShipmentLineQuantity,
) (*shipmentv1.Shipment, error) {
	answer, err := w.service.CreateShipment(ctx,
		&shipmentv1.CreateShipmentRequest{RequestId: uuid.NewString(), OrderId: id.String(), Lines: lines})
	return answer.GetShipment(), err
}

func line(number, quantity int64) *shipmentv1.ShipmentLineQuantity {
	return &shipmentv1.ShipmentLineQuantity{Line: number, Quantity: quantity}
}

// hurry makes all work due now.
func (w *world) hurry(ctx context.Context) {
	GinkgoHelper()
	_, err := w.pool.Exec(ctx, "UPDATE shipments SET due_at = created_at")
	Expect(err).NotTo(HaveOccurred())
}
