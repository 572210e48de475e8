package payment_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

const (
	merchant   = "shop/main"
	timeToPay  = 30 * time.Minute
	unitPrice  = 250
	sandboxKey = "a key that only the tests have"
)

// clock stands still until it is moved.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time           { return time.UnixMilli(c.at.Load()) }
func (c *clock) advance(by time.Duration) { c.at.Add(by.Milliseconds()) }

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// lasting is a tester that things can be made for, which it takes away at its end.
type lasting interface {
	tester
	Cleanup(func())
}

// shop is one process with orders, payments and the sandbox on a database.
type shop struct {
	tb      tester
	pool    *pgxpool.Pool
	clock   *clock
	orders  *order.Service
	store   *order.Store
	service *payment.Service
	sandbox *sandbox.Sandbox
	faults  *faults
	poller  *payment.Poller
	refunds *payment.RefundWorker
	days    *payment.Reconciler
	// lost is whether notifications do not arrive.
	lost     atomic.Bool
	requests atomic.Int64
}

// noon is when the tests' clocks start.
func noon() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

func newShop(tb testing.TB) *shop {
	tb.Helper()
	return openShop(tb, testdb.NewPool(tb), noon())
}

func openShop(tb lasting, pool *pgxpool.Pool, at time.Time) *shop {
	tb.Helper()
	s := &shop{tb: tb, pool: pool, clock: &clock{}}
	s.clock.at.Store(at.UnixMilli())
	log := slog.New(slog.DiscardHandler)
	key := []byte("0123456789abcdef")
	var err error
	s.store, err = order.NewStore(order.Options{
		Pool: pool, Clock: s.clock.now, Logger: log,
		Refunder: payment.NewRefunds(payment.RefundsOptions{Random: rand.Reader}),
	})
	s.must(err)
	tokens, err := quote.NewTokens(key, timeToPay)
	s.must(err)
	ids, err := orderid.NewGenerator(key, s.clock.now, rand.Reader)
	s.must(err)
	s.orders = order.NewService(order.ServiceOptions{
		Store: s.store, IDs: ids, Tokens: tokens, PaymentTimeout: timeToPay, Random: mathrand.New(mathrand.NewPCG(1, 2)),
	})
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	tb.Cleanup(server.Close)
	s.sandbox, err = sandbox.New(sandbox.Options{
		Pool: pool, Key: []byte(sandboxKey), Merchant: merchant, PublicURL: server.URL, NotifyURL: server.URL,
		Clock: s.clock.now, Logger: log,
	})
	s.must(err)
	s.faults = &faults{Provider: s.sandbox, calls: map[string]int{}}
	s.service, err = payment.NewService(payment.Options{
		Pool: pool, Orders: s.store, Providers: []payment.Provider{s.faults}, Clock: s.clock.now, Random: rand.Reader,
		Logger: log,
	})
	s.must(err)
	for pattern, page := range payment.Pages([]payment.Provider{s.sandbox}) {
		mux.Handle(pattern, page)
	}
	handler := payment.NotificationHandler(s.service)
	mux.HandleFunc("POST /notifications/{provider}", func(w http.ResponseWriter, r *http.Request) {
		if s.lost.Load() {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		handler.ServeHTTP(w, r)
	})
	options := payment.WorkerOptions{Service: s.service, WorkerOptions: lease.WorkerOptions{
		Worker: "worker", Interval: 20 * time.Millisecond, TTL: 2 * time.Second, Logger: log,
	}}
	s.poller, err = payment.NewPoller(options)
	s.must(err)
	s.refunds, err = payment.NewRefundWorker(options)
	s.must(err)
	s.days, err = payment.NewReconciler(options)
	s.must(err)
	return s
}

func (s *shop) must(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}

func (s *shop) requestID() string { return fmt.Sprintf("r%d", s.requests.Add(1)) }

// sell puts tea on sale.
func (s *shop) sell(quantity int64) {
	s.tb.Helper()
	ctx := context.Background()
	s.must(database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at) VALUES ('tea',"+
			" 'Tea', $1, 'CNY', true, now())", unitPrice); err != nil {
			return err
		}
		if err := stock.Create(ctx, tx, "tea"); err != nil {
			return err
		}
		return stock.Apply(ctx, tx, []stock.Movement{stock.Add("stocked", stock.Quantity{SKU: "tea", Quantity: quantity})})
	}))
}

func (s *shop) place(buyer string, quantity int64) *orderv1.Order {
	s.tb.Helper()
	answer, err := s.orders.PlaceOrder(context.Background(), &orderv1.PlaceOrderRequest{
		RequestId: s.requestID(), BuyerId: buyer, Lines: []*orderv1.PlaceOrderLine{{Sku: "tea", Quantity: quantity}},
	})
	s.must(err)
	return answer.GetOrder()
}

func (s *shop) cancel(o *orderv1.Order) {
	s.tb.Helper()
	_, err := s.orders.CancelOrder(context.Background(), &orderv1.CancelOrderRequest{
		RequestId: s.requestID(), BuyerId: o.GetBuyerId(), OrderId: o.GetOrderId(),
	})
	s.must(err)
}

func (s *shop) order(o *orderv1.Order) *orderv1.Order {
	s.tb.Helper()
	answer, err := s.orders.GetOrder(context.Background(), &orderv1.GetOrderRequest{
		BuyerId: o.GetBuyerId(), OrderId: o.GetOrderId(),
	})
	s.must(err)
	return answer.GetOrder()
}

func (s *shop) request(o *orderv1.Order) *paymentv1.CreatePaymentRequest {
	return &paymentv1.CreatePaymentRequest{
		RequestId: s.requestID(), BuyerId: o.GetBuyerId(), OrderId: o.GetOrderId(), Provider: sandbox.Name,
	}
}

func (s *shop) charge(o *orderv1.Order) *paymentv1.CreatePaymentResponse {
	s.tb.Helper()
	answer, err := s.service.CreatePayment(context.Background(), s.request(o))
	s.must(err)
	return answer
}

// pay does what the buyer does on the sandbox's page, and returns its status.
func (s *shop) pay(url string) int {
	s.tb.Helper()
	resp, err := http.Post(url, "", nil)
	s.must(err)
	s.must(resp.Body.Close())
	return resp.StatusCode
}

// bought is an order that was paid, and its payment.
func (s *shop) bought(buyer string, quantity int64) (*orderv1.Order, *paymentv1.Payment) {
	s.tb.Helper()
	o := s.place(buyer, quantity)
	c := s.charge(o)
	if status := s.pay(c.GetRedirectUrl()); status != http.StatusOK {
		s.tb.Fatalf("paying: %d", status)
	}
	return o, c.GetPayment()
}

// send sends the shop a signed body as the sandbox does.
func (s *shop) send(body string) int {
	s.tb.Helper()
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", strings.NewReader(body))
	r.SetPathValue("provider", sandbox.Name)
	r.Header.Set(sandbox.SignatureHeader, s.sandbox.Sign([]byte(body), s.clock.now()))
	w := httptest.NewRecorder()
	payment.NotificationHandler(s.service).ServeHTTP(w, r)
	return w.Code
}

func (s *shop) payment(buyer, id string) *paymentv1.Payment {
	s.tb.Helper()
	answer, err := s.service.GetPayment(context.Background(), &paymentv1.GetPaymentRequest{BuyerId: buyer, PaymentId: id})
	s.must(err)
	return answer.GetPayment()
}

// refundsOf are an order's refunds, as its buyer sees them.
func (s *shop) refundsOf(o *orderv1.Order) []*paymentv1.Refund {
	s.tb.Helper()
	answer, err := s.service.ListOrderRefunds(context.Background(), &paymentv1.ListOrderRefundsRequest{
		BuyerId: o.GetBuyerId(), OrderId: o.GetOrderId(),
	})
	s.must(err)
	return answer.GetRefunds()
}

func (s *shop) refund() {
	s.tb.Helper()
	s.must(s.refunds.Round(context.Background()))
}

func (s *shop) poll() {
	s.tb.Helper()
	s.must(s.poller.Round(context.Background()))
}

// count counts a table's rows.
func (s *shop) count(table, condition string, args ...any) int64 {
	s.tb.Helper()
	var n int64
	s.must(s.pool.QueryRow(context.Background(), "SELECT count(*) FROM "+table+" WHERE "+condition, args...).Scan(&n))
	return n
}

// errLost is what a caller sees of a call whose answer was lost.
var errLost = errors.New("no answer")

// faults stands between the payments and the sandbox: calls may be lost on the way there or back.
type faults struct {
	payment.Provider
	mu    sync.Mutex
	calls map[string]int
	// before and after a call; an error of theirs is its answer.
	before, after func(call string) error
	// refunded changes what is said of a refund.
	refunded func(payment.RefundStatus) payment.RefundStatus
	// instead of asking for a refund, this is the answer.
	instead *payment.RefundStatus
	asked   []uuid.UUID
}

// through makes a call with its faults.
func through[T any](f *faults, call string, do func() (T, error)) (T, error) {
	var zero T
	f.mu.Lock()
	f.calls[call]++
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(call); err != nil {
			return zero, err
		}
	}
	out, err := do()
	if err == nil && after != nil {
		if err := after(call); err != nil {
			return zero, err
		}
	}
	return out, err
}

func (f *faults) count(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[call]
}

func (f *faults) set(before, after func(call string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

// fail answers the calls of one name with an error.
func fail(name string, err error) func(string) error {
	return func(call string) error {
		if call == name {
			return err
		}
		return nil
	}
}

func (f *faults) Create(ctx context.Context, c payment.Charge) (payment.Session, error) {
	return through(f, "create", func() (payment.Session, error) { return f.Provider.Create(ctx, c) })
}

func (f *faults) Query(ctx context.Context, c payment.Charge) (payment.Status, error) {
	return through(f, "query", func() (payment.Status, error) { return f.Provider.Query(ctx, c) })
}

func (f *faults) Close(ctx context.Context, c payment.Charge) error {
	_, err := through(f, "close", func() (struct{}, error) { return struct{}{}, f.Provider.Close(ctx, c) })
	return err
}

func (f *faults) Refund(ctx context.Context, r payment.RefundOrder) (payment.RefundStatus, error) {
	f.mu.Lock()
	f.asked = append(f.asked, r.RefundID)
	instead := f.instead
	f.mu.Unlock()
	return f.status(through(f, "refund", func() (payment.RefundStatus, error) {
		if instead != nil {
			return *instead, nil
		}
		return f.Provider.Refund(ctx, r)
	}))
}

func (f *faults) QueryRefund(ctx context.Context, r payment.RefundOrder) (payment.RefundStatus, error) {
	return f.status(through(f, "query refund", func() (payment.RefundStatus, error) {
		return f.Provider.QueryRefund(ctx, r)
	}))
}

func (f *faults) status(status payment.RefundStatus, err error) (payment.RefundStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.refunded != nil {
		return f.refunded(status), nil
	}
	return status, err
}

func (f *faults) Statement(ctx context.Context, day time.Time, each func(payment.StatementRow) error) error {
	_, err := through(f, "statement", func() (struct{}, error) { return struct{}{}, f.Provider.Statement(ctx, day, each) })
	return err
}
