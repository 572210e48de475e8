package standard_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

const (
	paid      = orderv1.OrderState_ORDER_STATE_PAID
	cancelled = orderv1.OrderState_ORDER_STATE_CANCELLED
	succeeded = paymentv1.PaymentState_PAYMENT_STATE_SUCCEEDED
)

var _ = Describe("Paying an order", func() {
	It("goes from the payment over the provider's notification to PAID", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		o := s.place(ctx, "ann", "tea", 2)
		c := s.charge(ctx, o)
		Expect(c.GetPayment().GetState()).To(Equal(paymentv1.PaymentState_PAYMENT_STATE_PENDING))
		Expect(c.GetPayment().GetAmount().GetAmount()).To(Equal(int64(500)))
		Expect(pay(ctx, c.GetRedirectUrl())).To(Equal(http.StatusOK))
		Expect(s.state(ctx, o)).To(Equal(paid))
		Expect(s.paymentState(ctx, "ann", c.GetPayment())).To(Equal(succeeded))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 3, Deducted: 2}))
		Expect(s.count(ctx, "outbox", "event = 'paid'")).To(Equal(int64(1)))
		Expect(s.count(ctx, "payment_history", "payment_id = $1", c.GetPayment().GetPaymentId())).To(Equal(int64(3)))
		By("paying again on the same page changes nothing")
		Expect(pay(ctx, c.GetRedirectUrl())).To(Equal(http.StatusOK))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 3, Deducted: 2}))
		Expect(s.count(ctx, "refunds", "true")).To(BeZero())
	})

	It("starts a payment once a request id", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		o, other := s.place(ctx, "ann", "tea", 1), s.place(ctx, "ann", "tea", 1)
		req := s.chargeRequest(o)
		first, err := s.clients.payments.CreatePayment(ctx, req)
		Expect(err).NotTo(HaveOccurred())
		Expect(pay(ctx, first.GetRedirectUrl())).To(Equal(http.StatusOK))
		again, err := s.clients.payments.CreatePayment(ctx, req)
		Expect(err).NotTo(HaveOccurred())
		Expect(proto.Equal(first, again)).To(BeTrue())
		req.OrderId = other.GetOrderId()
		_, err = s.clients.payments.CreatePayment(ctx, req)
		Expect(err).To(failWith(connect.CodeAlreadyExists, "REQUEST_ID_REUSED"))
		Expect(s.count(ctx, "payments", "true")).To(Equal(int64(1)))
	})

	It("refuses what cannot be paid", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		o := s.place(ctx, "ann", "tea", 1)
		req := s.chargeRequest(o)
		req.Provider = "barter"
		_, err := s.clients.payments.CreatePayment(ctx, req)
		Expect(err).To(failWith(connect.CodeInvalidArgument, "PROVIDER_UNKNOWN"))
		req = s.chargeRequest(o)
		req.BuyerId = "bob"
		_, err = s.clients.payments.CreatePayment(ctx, req)
		Expect(err).To(failWith(connect.CodeNotFound, "ORDER_NOT_FOUND"))
		c := s.charge(ctx, o)
		_, err = s.clients.payments.GetPayment(ctx,
			&paymentv1.GetPaymentRequest{BuyerId: "bob", PaymentId: c.GetPayment().GetPaymentId()})
		Expect(err).To(failWith(connect.CodeNotFound, "PAYMENT_NOT_FOUND"))
		_, err = s.clients.payments.ListPayments(ctx, &paymentv1.ListPaymentsRequest{BuyerId: "bob", OrderId: o.GetOrderId()})
		Expect(err).To(failWith(connect.CodeNotFound, "ORDER_NOT_FOUND"))
		s.cancel(ctx, o)
		_, err = s.clients.payments.CreatePayment(ctx, s.chargeRequest(o))
		Expect(err).To(failWith(connect.CodeFailedPrecondition, "ORDER_STATE_CONFLICT"))
	})

	It("goes on where it stopped when the pod died while it called the provider", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		req := s.chargeRequest(s.place(ctx, "ann", "tea", 1))
		dying := startChild(childDiesCallingProvider, s.databaseURL, "")
		_, err := clientsOf(dying.url).payments.CreatePayment(ctx, req)
		Expect(err).To(HaveOccurred())
		dying.killed()
		var id string
		Expect(s.pool.QueryRow(ctx, "SELECT payment_id::text FROM payments WHERE state = 'CREATED'").Scan(&id)).To(Succeed())
		answer, err := s.clients.payments.CreatePayment(ctx, req)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.GetPayment().GetPaymentId()).To(Equal(id))
		Expect(pay(ctx, answer.GetRedirectUrl())).To(Equal(http.StatusOK))
		Expect(s.paymentState(ctx, "ann", answer.GetPayment())).To(Equal(succeeded))
	})

	It("closes the payment when the order was cancelled while the provider was called", func(ctx context.Context) {
		var s *shop
		var o *orderv1.Order
		s = newShop(podOptions{wrapProvider: func(sb *sandbox.Sandbox) payment.Provider {
			return meanwhile{sb, func(payment.Charge) { s.cancel(context.Background(), o) }}
		}})
		s.sell(ctx, "tea", 5)
		o = s.place(ctx, "ann", "tea", 1)
		req := s.chargeRequest(o)
		for range 2 {
			_, err := s.clients.payments.CreatePayment(ctx, req)
			Expect(err).To(failWith(connect.CodeFailedPrecondition, "ORDER_STATE_CONFLICT"))
		}
		Expect(s.count(ctx, "payments", "state = 'CLOSED'")).To(Equal(int64(1)))
	})
})

// meanwhile does something while the provider is called.
type meanwhile struct {
	*sandbox.Sandbox
	do func(payment.Charge)
}

func (m meanwhile) Create(ctx context.Context, c payment.Charge) (payment.Session, error) {
	m.do(c)
	return m.Sandbox.Create(ctx, c)
}

var _ = Describe("A provider's notification", func() {
	It("has its effect once, however often it comes", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		o := s.place(ctx, "ann", "tea", 2)
		n := s.notification(s.charge(ctx, o).GetPayment())
		for range 3 {
			Expect(s.send(ctx, s.url, n)).To(Equal(http.StatusNoContent))
		}
		Expect(s.state(ctx, o)).To(Equal(paid))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 3, Deducted: 2}))
		Expect(s.count(ctx, "payment_notifications", "raw = $1", []byte(n.body()))).To(Equal(int64(1)))
		Expect(s.count(ctx, "refunds", "true")).To(BeZero())
	})

	It("has its effect once when it comes to two processes at once", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 100)
		a, b := startChild(childServes, s.databaseURL, ""), startChild(childServes, s.databaseURL, "")
		for i := range 8 {
			o := s.place(ctx, fmt.Sprintf("buyer%d", i), "tea", 1)
			n := s.notification(s.charge(ctx, o).GetPayment())
			signature := s.sandbox.Sign([]byte(n.body()), n.signedAt)
			var wg sync.WaitGroup
			for _, url := range []string{a.url, b.url, a.url, b.url} {
				wg.Go(func() {
					defer GinkgoRecover()
					Expect(post(ctx, url+"/notifications/sandbox", n.body(), signature)).To(Equal(http.StatusNoContent))
				})
			}
			wg.Wait()
			Expect(s.state(ctx, o)).To(Equal(paid))
			Expect(s.count(ctx, "order_history", "order_id = $1 AND event = 'pay'", o.GetOrderId())).To(Equal(int64(1)))
		}
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 92, Deducted: 8}))
		Expect(s.count(ctx, "payment_notifications", "true")).To(Equal(int64(8)))
		Expect(s.count(ctx, "refunds", "true")).To(BeZero())
	})

	It("may come before our call of the provider returns", func(ctx context.Context) {
		var s *shop
		s = newShop(podOptions{wrapProvider: func(sb *sandbox.Sandbox) payment.Provider {
			return meanwhile{sb, func(c payment.Charge) {
				Expect(s.send(context.Background(), s.url, notification{
					transaction: "early",
					payment:     c.PaymentID.String(),
					merchant:    merchant,
					amount:      c.Amount,
					currency:    c.Currency,
					status:      "SUCCESS",
					signedAt:    s.clock.now(),
				})).To(Equal(http.StatusNoContent))
			}}
		}})
		s.sell(ctx, "tea", 5)
		o := s.place(ctx, "ann", "tea", 1)
		c := s.charge(ctx, o)
		Expect(c.GetPayment().GetState()).To(Equal(succeeded))
		Expect(s.state(ctx, o)).To(Equal(paid))
	})

	It("is not believed unless signature, age, merchant, amount and currency are right", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		o := s.place(ctx, "ann", "tea", 2)
		p := s.charge(ctx, o).GetPayment()
		n := s.notification(p)
		forged := s.sandbox.Sign([]byte(n.body()), n.signedAt)
		Expect(post(ctx, s.url+"/notifications/sandbox", n.body(), "")).To(Equal(http.StatusBadRequest))
		Expect(post(ctx, s.url+"/notifications/sandbox", n.body()+" ", forged)).To(Equal(http.StatusBadRequest))
		Expect(post(ctx, s.url+"/notifications/barter", n.body(), forged)).To(Equal(http.StatusNotFound))
		for what, change := range map[string]func(*notification){
			"old":              func(n *notification) { n.signedAt = n.signedAt.Add(-time.Hour) },
			"from the future":  func(n *notification) { n.signedAt = n.signedAt.Add(time.Hour) },
			"another merchant": func(n *notification) { n.merchant = "shop/other" },
			"less":             func(n *notification) { n.amount-- },
			"another currency": func(n *notification) { n.currency = "JPY" },
			"no transaction":   func(n *notification) { n.transaction = "" },
			"another status":   func(n *notification) { n.status = "MAYBE" },
		} {
			wrong := n
			change(&wrong)
			Expect(s.send(ctx, s.url, wrong)).To(Equal(http.StatusBadRequest), what)
		}
		unknown := n
		unknown.payment = "00000000-0000-4000-8000-000000000001"
		Expect(s.send(ctx, s.url, unknown)).To(Equal(http.StatusNotFound))
		Expect(
			post(ctx, s.url+"/notifications/sandbox", strings.Repeat("x", 100<<10), forged),
		).To(Equal(http.StatusBadRequest))
		Expect(s.state(ctx, o)).To(Equal(orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT))
		Expect(s.count(ctx, "payment_notifications", "true")).To(BeZero())
		By("and the right one still is")
		Expect(s.send(ctx, s.url, n)).To(Equal(http.StatusNoContent))
		Expect(s.state(ctx, o)).To(Equal(paid))
	})

	It("of a failure leaves the order to be paid, and of a success after it pays it", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		o := s.place(ctx, "ann", "tea", 2)
		n := s.notification(s.charge(ctx, o).GetPayment())
		failed := n
		failed.transaction, failed.status = "failed", "FAILED"
		Expect(s.send(ctx, s.url, failed)).To(Equal(http.StatusNoContent))
		Expect(s.state(ctx, o)).To(Equal(orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT))
		Expect(s.count(ctx, "payments", "state = 'FAILED'")).To(Equal(int64(1)))
		Expect(s.send(ctx, s.url, n)).To(Equal(http.StatusNoContent))
		Expect(s.state(ctx, o)).To(Equal(paid))
	})

	It("is taken with all the others that come for the same SKU at once", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 300)
		const buyers = 150
		urls := make([]string, buyers)
		for i := range urls {
			urls[i] = s.charge(ctx, s.place(ctx, fmt.Sprintf("b%d", i), "tea", 2)).GetRedirectUrl()
		}
		var wg sync.WaitGroup
		for _, url := range urls {
			wg.Go(func() {
				defer GinkgoRecover()
				Expect(pay(ctx, url)).To(Equal(http.StatusOK))
			})
		}
		wg.Wait()
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Deducted: 300}))
		Expect(s.count(ctx, "orders", "state = 'PAID'")).To(Equal(int64(buyers)))
	})
})

var _ = Describe("A payment that comes too late", func() {
	It("takes the stock again if it is there", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 2)
		o := s.place(ctx, "ann", "tea", 2)
		n := s.notification(s.charge(ctx, o).GetPayment())
		s.cancel(ctx, o)
		Expect(s.state(ctx, o)).To(Equal(cancelled))
		Expect(s.send(ctx, s.url, n)).To(Equal(http.StatusNoContent))
		Expect(s.state(ctx, o)).To(Equal(paid))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Deducted: 2}))
		Expect(s.count(ctx, "refunds", "true")).To(BeZero())
	})

	It("is due back if the stock is gone", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 2)
		o := s.place(ctx, "ann", "tea", 2)
		n := s.notification(s.charge(ctx, o).GetPayment())
		s.cancel(ctx, o)
		s.place(ctx, "bob", "tea", 1)
		for range 2 {
			Expect(s.send(ctx, s.url, n)).To(Equal(http.StatusNoContent))
		}
		Expect(s.state(ctx, o)).To(Equal(cancelled))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 1, Reserved: 1}))
		Expect(
			s.count(ctx, "refunds", "state = 'REQUESTED' AND reason = 'ORDER_CANCELLED' AND amount = 500 AND payment_id = $1",
				n.payment),
		).To(Equal(int64(1)))
		Expect(s.count(ctx, "payments", "state = 'SUCCEEDED'")).To(Equal(int64(1)))
	})

	It("is due back if another payment was first, or the same one succeeded twice", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 2)
		o := s.place(ctx, "ann", "tea", 1)
		first, second := s.notification(s.charge(ctx, o).GetPayment()), s.notification(s.charge(ctx, o).GetPayment())
		Expect(s.send(ctx, s.url, first)).To(Equal(http.StatusNoContent))
		Expect(s.send(ctx, s.url, second)).To(Equal(http.StatusNoContent))
		first.transaction = "charged-twice"
		Expect(s.send(ctx, s.url, first)).To(Equal(http.StatusNoContent))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 1, Deducted: 1}))
		Expect(
			s.count(ctx, "refunds", "reason = 'ORDER_ALREADY_PAID' AND payment_id = $1", second.payment),
		).To(Equal(int64(1)))
		Expect(
			s.count(ctx, "refunds", "reason = 'PAYMENT_ALREADY_SUCCEEDED' AND payment_id = $1", first.payment),
		).To(Equal(int64(1)))
	})
})

var _ = Describe("The sandbox's page", func() {
	It("takes its own tokens in time", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 2)
		url := s.charge(ctx, s.place(ctx, "ann", "tea", 1)).GetRedirectUrl()
		Expect(pay(ctx, s.url+"/sandbox/pay")).To(Equal(http.StatusBadRequest))
		Expect(pay(ctx, url[:len(url)-2])).To(Equal(http.StatusBadRequest))
		Expect(pay(ctx, s.url+"/sandbox/pay?token="+strings.Repeat("a", 4000))).To(Equal(http.StatusBadRequest))
		resp, err := http.Get(url)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.Body.Close()).To(Succeed())
		Expect(resp.StatusCode).To(Equal(http.StatusMethodNotAllowed))
		s.clock.advance(paymentTimeout)
		Expect(pay(ctx, url)).To(Equal(http.StatusGone))
	})

	It("repeats the notification until the shop takes it, and stops in bounded time", func(ctx context.Context) {
		var failures, calls atomic.Int64
		var s *shop
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			if failures.Add(-1) >= 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			r.SetPathValue("provider", sandbox.Name)
			payment.NotificationHandler(s.pod.payments).ServeHTTP(w, r)
		}))
		DeferCleanup(front.Close)
		s = newShop(podOptions{notifyURL: front.URL})
		s.sell(ctx, "tea", 2)
		o := s.place(ctx, "ann", "tea", 1)
		url := s.charge(ctx, o).GetRedirectUrl()
		failures.Store(1000)
		Expect(pay(ctx, url)).To(Equal(http.StatusBadGateway))
		Expect(calls.Load()).To(Equal(int64(6)))
		failures.Store(2)
		Expect(pay(ctx, url)).To(Equal(http.StatusOK))
		Expect(s.state(ctx, o)).To(Equal(paid))
	})
})
