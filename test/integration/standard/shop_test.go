package standard_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// patience is how long a condition may take to come true on a busy machine.
const patience = 2 * time.Minute

// shop is a database and one pod on it, in this process.
type shop struct {
	*pod
	clients
	databaseURL string
	requests    atomic.Int64
}

func newShop(o podOptions) *shop {
	GinkgoHelper()
	s := &shop{databaseURL: testdb.NewMigrated(GinkgoTB())}
	var err error
	s.pod, err = startPod(s.databaseURL, o)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.stop)
	s.clients = clientsOf(s.url)
	return s
}

// requestID is a new one each time.
func (s *shop) requestID() string { return "r" + strconv.FormatInt(s.requests.Add(1), 10) }

// sell puts a SKU on sale for 250 fen with so many in stock.
func (s *shop) sell(ctx context.Context, sku string, quantity int64) {
	GinkgoHelper()
	_, err := s.catalog.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
		Sku: sku, Title: "A " + sku, Price: &moneyv1.Money{Amount: 250, Currency: "CNY"}, OnSale: true,
	}})
	Expect(err).NotTo(HaveOccurred())
	if quantity > 0 {
		_, err = s.catalog.AdjustStock(ctx,
			&catalogv1.AdjustStockRequest{RequestId: s.requestID(), Sku: sku, Delta: quantity})
		Expect(err).NotTo(HaveOccurred())
	}
}

func (s *shop) levels(ctx context.Context, sku string) stock.Levels {
	GinkgoHelper()
	l, err := stock.Get(ctx, s.pool, sku)
	Expect(err).NotTo(HaveOccurred())
	return l
}

// lines are "tea", 2, "cup", 1 and so on.
func lines(pairs ...any) []*orderv1.PlaceOrderLine {
	var out []*orderv1.PlaceOrderLine
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, &orderv1.PlaceOrderLine{Sku: pairs[i].(string), Quantity: int64(pairs[i+1].(int))})
	}
	return out
}

func (s *shop) place(ctx context.Context, buyer string, l ...any) *orderv1.Order {
	GinkgoHelper()
	answer, err := s.clients.orders.PlaceOrder(ctx,
		&orderv1.PlaceOrderRequest{RequestId: s.requestID(), BuyerId: buyer, Lines: lines(l...)})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetOrder()
}

func (s *shop) state(ctx context.Context, o *orderv1.Order) orderv1.OrderState {
	GinkgoHelper()
	answer, err := s.clients.orders.GetOrder(ctx,
		&orderv1.GetOrderRequest{BuyerId: o.GetBuyerId(), OrderId: o.GetOrderId()})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetOrder().GetState()
}

func (s *shop) cancel(ctx context.Context, o *orderv1.Order) {
	GinkgoHelper()
	_, err := s.clients.orders.CancelOrder(ctx,
		&orderv1.CancelOrderRequest{RequestId: s.requestID(), BuyerId: o.GetBuyerId(), OrderId: o.GetOrderId()})
	Expect(err).NotTo(HaveOccurred())
}

// charge starts a payment through the sandbox.
func (s *shop) charge(ctx context.Context, o *orderv1.Order) *paymentv1.CreatePaymentResponse {
	GinkgoHelper()
	answer, err := s.clients.payments.CreatePayment(ctx, s.chargeRequest(o))
	Expect(err).NotTo(HaveOccurred())
	return answer
}

func (s *shop) chargeRequest(o *orderv1.Order) *paymentv1.CreatePaymentRequest {
	return &paymentv1.CreatePaymentRequest{
		RequestId: s.requestID(),
		BuyerId:   o.GetBuyerId(),
		OrderId:   o.GetOrderId(),
		Provider:  sandbox.Name,
	}
}

func (s *shop) paymentState(ctx context.Context, buyer string, p *paymentv1.Payment) paymentv1.PaymentState {
	GinkgoHelper()
	answer, err := s.clients.payments.GetPayment(ctx,
		&paymentv1.GetPaymentRequest{BuyerId: buyer, PaymentId: p.GetPaymentId()})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetPayment().GetState()
}

// pay does what the buyer does on the provider's page and returns its status.
func pay(ctx context.Context, redirectURL string) int {
	GinkgoHelper()
	return post(ctx, redirectURL, "", "")
}

func post(ctx context.Context, url, body, signature string) int {
	GinkgoHelper()
	status, err := tryPost(ctx, url, body, signature)
	Expect(err).NotTo(HaveOccurred())
	return status
}

func tryPost(ctx context.Context, url, body, signature string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	if signature != "" {
		req.Header.Set(sandbox.SignatureHeader, signature)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// notification is the sandbox's for a payment, which a test may change before it is sent.
type notification struct {
	transaction, payment, merchant, currency, status string
	amount                                           int64
	signedAt                                         time.Time
}

func (s *shop) notification(p *paymentv1.Payment) notification {
	return notification{
		transaction: "t-" + p.GetPaymentId(),
		payment:     p.GetPaymentId(),
		merchant:    merchant,
		currency:    p.GetAmount().GetCurrency(),
		status:      "SUCCESS",
		amount:      p.GetAmount().GetAmount(),
		signedAt:    s.clock.now(),
	}
}

func (n notification) body() string {
	return fmt.Sprintf(`{"transaction_id":%q,"payment_id":%q,"merchant":%q,"amount":%d,"currency":%q,"status":%q}`,
		n.transaction, n.payment, n.merchant, n.amount, n.currency, n.status)
}

// send sends it to a pod and returns the answer's status.
func (s *shop) send(ctx context.Context, url string, n notification) int {
	GinkgoHelper()
	return post(ctx, url+"/notifications/sandbox", n.body(), s.sandbox.Sign([]byte(n.body()), n.signedAt))
}

// count counts a table's rows.
func (s *shop) count(ctx context.Context, table, condition string, args ...any) int64 {
	GinkgoHelper()
	var n int64
	Expect(s.pool.QueryRow(ctx, "SELECT count(*) FROM "+table+" WHERE "+condition, args...).Scan(&n)).To(Succeed())
	return n
}

// failWith matches an RPC's error by its code and reason.
func failWith(code connect.Code, reason string) types.GomegaMatcher {
	return And(HaveOccurred(),
		WithTransform(connect.CodeOf, Equal(code)),
		WithTransform(rpcerr.Reason, Equal(reason)))
}
