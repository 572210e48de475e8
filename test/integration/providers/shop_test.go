package providers_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/providers"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/orderd/sim/psp"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

const (
	// patience is how long a condition may take to come true on a busy machine.
	patience = 2 * time.Minute
	price    = 8801
	buyer    = "b1"
)

// shop is the payment service on a real database with its background work, and one
// provider's simulator.
type shop struct {
	testCase
	clock    *clock
	pool     *pgxpool.Pool
	sim      *psp.Server
	orders   *order.Service
	store    *order.Store
	payments *payment.Service
	// direct is the provider, past the service.
	direct   payment.Provider
	requests int
}

func newShop(c testCase) *shop {
	GinkgoHelper()
	s := &shop{
		testCase: c,
		clock:    &clock{at: time.Date(2026, 11, 11, 2, 0, 0, 0, time.UTC), started: time.Now()},
		pool:     testdb.NewPool(GinkgoTB()),
	}
	log := slog.New(slog.DiscardHandler)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	DeferCleanup(server.Close)
	var err error
	s.sim, err = psp.NewServer(psp.Options{
		Keys:          keys,
		Certificates:  c.certificates,
		StripeWebhook: server.URL + "/notifications/stripe",
		Clock:         s.clock.now,
		Attempts:      2,
		Pause:         time.Millisecond,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.sim.Close)
	sim := httptest.NewServer(s.sim)
	DeferCleanup(sim.Close)
	secrets := GinkgoT().TempDir()
	Expect(keys.WriteSecrets(secrets)).To(Succeed())
	all, err := providers.All([]config.Payment{
		{
			Provider:  c.provider,
			Settings:  keys.Settings(c.provider, sim.URL, c.certificates),
			SecretDir: filepath.Join(secrets, c.provider),
			NotifyURL: server.URL,
			PublicURL: server.URL,
		},
	}, providers.Deps{Pool: s.pool, Clock: s.clock.now, Random: rand.Reader})
	Expect(err).NotTo(HaveOccurred())

	s.direct = all[0]

	s.store, err = order.NewStore(order.Options{
		Pool: s.pool, Clock: s.clock.now, Logger: log,
		Refunder: payment.NewRefunds(payment.RefundsOptions{Random: rand.Reader}),
	})
	Expect(err).NotTo(HaveOccurred())
	ids, err := orderid.NewGenerator([]byte("0123456789abcdef"), s.clock.now, rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	tokens, err := quote.NewTokens([]byte("0123456789abcdef"), time.Hour)
	Expect(err).NotTo(HaveOccurred())
	s.orders = order.NewService(order.ServiceOptions{
		Store:          s.store,
		IDs:            ids,
		Tokens:         tokens,
		PaymentTimeout: 30 * time.Minute,
		Random:         mathrand.New(mathrand.NewPCG(1, 2)),
	})
	s.payments, err = payment.NewService(
		payment.Options{Pool: s.pool, Orders: s.store, Providers: all, Clock: s.clock.now, Random: rand.Reader, Logger: log},
	)
	Expect(err).NotTo(HaveOccurred())
	mux.Handle("POST /notifications/{provider}", payment.NotificationHandler(s.payments))
	s.stock()
	s.work(log)
	return s
}

func (s *shop) stock() {
	GinkgoHelper()
	ctx := context.Background()
	Expect(database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		if _, err := tx.Exec(
			ctx,
			"INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at) VALUES ('tea', '茶', $1, 'CNY', true, now())",
			price,
		); err != nil {
			return err
		}
		if err := stock.Create(ctx, tx, "tea"); err != nil {
			return err
		}
		return stock.Apply(ctx, tx, []stock.Movement{stock.Add("stocked", stock.Quantity{SKU: "tea", Quantity: 100})})
	})).To(Succeed())
}

// work runs the poller, the refunds and the reconciliation until the test ends.
func (s *shop) work(log *slog.Logger) {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	o := payment.WorkerOptions{Service: s.payments, WorkerOptions: lease.WorkerOptions{
		Worker: "w1", Interval: 20 * time.Millisecond, TTL: time.Second, Logger: log,
	}}
	poller, err := payment.NewPoller(o)
	Expect(err).NotTo(HaveOccurred())
	refunds, err := payment.NewRefundWorker(o)
	Expect(err).NotTo(HaveOccurred())
	reconciler, err := payment.NewReconciler(o)
	Expect(err).NotTo(HaveOccurred())
	loops := []interface{ Run(context.Context) error }{poller, refunds, reconciler}
	ended := make(chan error, len(loops))
	for _, l := range loops {
		go func() { ended <- l.Run(ctx) }()
	}
	DeferCleanup(func() {
		cancel()
		for range loops {
			Expect(<-ended).To(Succeed())
		}
	})
}

func (s *shop) requestID() string {
	s.requests++
	return fmt.Sprintf("r%d", s.requests)
}

// place places an order of one unit.
func (s *shop) place(ctx context.Context) uuid.UUID {
	GinkgoHelper()
	answer, err := s.orders.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
		RequestId: s.requestID(),
		BuyerId:   buyer,
		Lines:     []*orderv1.PlaceOrderLine{{Sku: "tea", Quantity: 1}},
	})
	Expect(err).NotTo(HaveOccurred())
	return uuid.MustParse(answer.GetOrder().GetOrderId())
}

func (s *shop) request(orderID uuid.UUID) *paymentv1.CreatePaymentRequest {
	return &paymentv1.CreatePaymentRequest{
		RequestId: s.requestID(),
		BuyerId:   buyer,
		OrderId:   orderID.String(),
		Provider:  s.provider,
		Method:    s.method,
		OpenId:    "o1",
		ClientIp:  "203.0.113.7",
	}
}

// create starts a payment.
func (s *shop) create(ctx context.Context, orderID uuid.UUID) {
	GinkgoHelper()
	_, err := s.payments.CreatePayment(ctx, s.request(orderID))
	Expect(err).NotTo(HaveOccurred())
}

// last is the simulator's number of the payment that it heard of last.
func (s *shop) last() string {
	numbers := s.sim.Numbers(s.provider)
	return numbers[len(numbers)-1]
}

// charged is an order with a payment that the buyer can pay now, and the payment's number.
func (s *shop) charged(ctx context.Context) (orderID uuid.UUID, number string) {
	GinkgoHelper()
	orderID = s.place(ctx)
	s.create(ctx, orderID)
	return orderID, s.last()
}

func (s *shop) pay(number string, faults ...psp.Kind) {
	GinkgoHelper()
	var list []psp.Fault
	for _, kind := range faults {
		list = append(list, psp.Fault{Kind: kind})
	}
	Expect(s.sim.Pay(s.provider, number, list...)).To(Succeed())
	s.sim.Wait()
}

func (s *shop) state(ctx context.Context, orderID uuid.UUID) order.State {
	GinkgoHelper()
	o, err := order.Get(ctx, s.pool, buyer, orderID)
	Expect(err).NotTo(HaveOccurred())
	return o.State
}

// becomes waits for an order's state.
func (s *shop) becomes(ctx context.Context, orderID uuid.UUID, want order.State) {
	GinkgoHelper()
	Eventually(func() order.State { return s.state(ctx, orderID) }).WithTimeout(patience).Should(Equal(want))
}

// refunds are the states of the order's refunds.
func (s *shop) refunds(ctx context.Context, orderID uuid.UUID) []string {
	GinkgoHelper()
	rows, err := s.pool.Query(ctx, "SELECT state FROM refunds WHERE order_id = $1 ORDER BY created_at, refund_id", orderID)
	Expect(err).NotTo(HaveOccurred())
	states, err := pgx.CollectRows(rows, pgx.RowTo[string])
	Expect(err).NotTo(HaveOccurred())
	return states
}

// cancel cancels an order, which is paid back if it was paid.
func (s *shop) cancel(ctx context.Context, orderID uuid.UUID) {
	GinkgoHelper()
	_, err := s.orders.CancelOrder(ctx,
		&orderv1.CancelOrderRequest{RequestId: s.requestID(), BuyerId: buyer, OrderId: orderID.String()})
	Expect(err).NotTo(HaveOccurred())
}

// refundsBecomeAfter lets the time go on in steps until the refunds are as wanted: what failed is
// tried again later and later.
func (s *shop) refundsBecomeAfter(ctx context.Context, orderID uuid.UUID, step time.Duration, want ...string) {
	GinkgoHelper()
	Eventually(func() []string {
		s.clock.advance(step)
		return s.refunds(ctx, orderID)
	}).WithTimeout(patience).WithPolling(300 * time.Millisecond).Should(Equal(want))
}

func (s *shop) refundsBecome(ctx context.Context, orderID uuid.UUID, want ...string) {
	GinkgoHelper()
	Eventually(func() []string { return s.refunds(ctx, orderID) }).WithTimeout(patience).Should(Equal(want))
}

// day is the provider's day of a time.
func (s *shop) day(at time.Time) string { return at.In(s.direct.Location()).Format(time.DateOnly) }

// differences has a day reconciled whose statement has so many rows, and returns what was found.
func (s *shop) differences(ctx context.Context, day string, rows int64) []*paymentv1.Difference {
	GinkgoHelper()
	_, err := s.payments.RunReconciliation(ctx,
		&paymentv1.RunReconciliationRequest{RequestId: s.requestID(), Provider: s.provider, Day: day})
	Expect(err).NotTo(HaveOccurred())
	Eventually(func(g Gomega) {
		list, err := s.payments.ListReconciliations(ctx,
			&paymentv1.ListReconciliationsRequest{Provider: s.provider, PageSize: 100})
		g.Expect(err).NotTo(HaveOccurred())
		i := slices.IndexFunc(list.GetReconciliations(), func(r *paymentv1.Reconciliation) bool { return r.GetDay() == day })
		g.Expect(i).To(BeNumerically(">=", 0))
		g.Expect(
			list.GetReconciliations()[i].GetState(),
		).To(Equal(paymentv1.ReconciliationState_RECONCILIATION_STATE_DONE), list.GetReconciliations()[i].GetFailure())
		g.Expect(list.GetReconciliations()[i].GetRows()).To(Equal(rows))
	}).WithTimeout(patience).Should(Succeed())
	found, err := s.payments.ListDifferences(ctx,
		&paymentv1.ListDifferencesRequest{Provider: s.provider, Day: day, PageSize: 100})
	Expect(err).NotTo(HaveOccurred())
	return found.GetDifferences()
}
