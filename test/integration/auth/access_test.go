package auth_test

import (
	"context"
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	auditv1 "github.com/orderd-dev/orderd/api/gen/orderd/audit/v1"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/audit"
	"github.com/orderd-dev/orderd/orderd/kit/config"
)

func sku(request string) *catalogv1.UpsertSkuRequest {
	return &catalogv1.UpsertSkuRequest{RequestId: request, Sku: &catalogv1.Sku{
		Sku: "tea", Title: "A tea", Price: &moneyv1.Money{Amount: 250, Currency: "CNY"}, OnSale: true,
	}}
}

// nine is nine units more, by one request id.
func nine() *catalogv1.AdjustStockRequest {
	return &catalogv1.AdjustStockRequest{RequestId: "nine", Sku: "tea", Delta: 9}
}

func tea() []*orderv1.PlaceOrderLine { return []*orderv1.PlaceOrderLine{{Sku: "tea", Quantity: 1}} }

var _ = Describe("A pod", func() {
	It("shows a buyer what is theirs and nothing else", func(ctx context.Context) {
		w := newWorld()
		p := w.standard()
		carol := p.with(w.Issuer.Token("carol", "catalog"))
		_, err := carol.catalog.UpsertSku(ctx, sku("new"))
		Expect(err).NotTo(HaveOccurred())
		_, err = carol.catalog.AdjustStock(ctx, nine())
		Expect(err).NotTo(HaveOccurred())

		ann, bob := p.with(w.Issuer.Token("ann", "buyer")), p.with(w.Issuer.Token("bob", "buyer"))
		placed, err := ann.orders.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{RequestId: "r", Lines: tea()})
		Expect(err).NotTo(HaveOccurred())
		id := placed.GetOrder().GetOrderId()
		Expect(placed.GetOrder().GetBuyerId()).To(Equal("ann"))
		_, err = ann.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: id})
		Expect(err).NotTo(HaveOccurred())

		_, err = bob.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: id})
		Expect(err).To(failWith(connect.CodeNotFound, "ORDER_NOT_FOUND"))
		_, err = bob.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: id, BuyerId: "ann"})
		Expect(err).To(failWith(connect.CodePermissionDenied, "OTHER_BUYER"))
		_, err = bob.orders.CancelOrder(ctx, &orderv1.CancelOrderRequest{OrderId: id, RequestId: "c"})
		Expect(err).To(failWith(connect.CodeNotFound, "ORDER_NOT_FOUND"))
		his, err := bob.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{})
		Expect(err).NotTo(HaveOccurred())
		Expect(his.GetOrders()).To(BeEmpty())

		backend := p.with(w.Issuer.Token("backend", "checkout"))
		_, err = backend.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: id, BuyerId: "ann"})
		Expect(err).NotTo(HaveOccurred())

		By("asking everybody who they are")
		_, err = p.with("").orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: id})
		Expect(err).To(failWith(connect.CodeUnauthenticated, "TOKEN_MISSING"))
		_, err = ann.catalog.UpsertSku(ctx, sku("mine"))
		Expect(err).To(failWith(connect.CodePermissionDenied, "ROLE_MISSING"))

		By("but providers, who sign what they send")
		res, err := http.Post(p.URL+"/notifications/sandbox", "application/json", strings.NewReader("{}"))
		Expect(err).NotTo(HaveOccurred())
		_ = res.Body.Close()
		Expect(res.StatusCode).To(And(BeNumerically(">=", 400), Not(Equal(http.StatusUnauthorized)), BeNumerically("<", 500)))

		By("keeping what staff and services did, and nothing of buyers")
		later := &orderv1.PlaceOrderRequest{RequestId: "for-ann", BuyerId: "ann", Lines: tea()}
		_, err = backend.orders.PlaceOrder(ctx, later)
		Expect(err).NotTo(HaveOccurred())
		_, err = carol.audit.ListAuditEntries(ctx, &auditv1.ListAuditEntriesRequest{})
		Expect(err).To(failWith(connect.CodePermissionDenied, "ROLE_MISSING"))
		entries, err := p.with(
			w.Issuer.Token("olga", "operations"),
		).audit.ListAuditEntries(ctx, &auditv1.ListAuditEntriesRequest{})
		Expect(err).NotTo(HaveOccurred())
		Expect(facts(entries)).To(Equal([]string{
			"backend PlaceOrder for-ann OK", "carol AdjustStock nine OK", "carol UpsertSku new OK",
		}))
	})

	It("is ready when it knows the issuer's keys, and goes on with them", func(ctx context.Context) {
		w := newWorld()
		w.away.Store(true)
		p := w.start(config.RoleStandard, w.Pod())
		ann := p.with(w.Issuer.Token("ann", "buyer"))
		_, err := ann.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{})
		Expect(err).To(failWith(connect.CodeUnavailable, "KEYS_UNAVAILABLE"))
		Expect(p.Health()).To(Equal(http.StatusServiceUnavailable))

		w.away.Store(false)
		p.untilReady()
		w.away.Store(true)
		_, err = ann.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{})
		Expect(err).NotTo(HaveOccurred())
		_, err = p.with(w.Issuer.Token("bob", "buyer")).orders.ListOrders(ctx, &orderv1.ListOrdersRequest{})
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Health()).To(Equal(http.StatusOK))

		By("learning of a new key as soon as a token comes with it")
		w.away.Store(false)
		Expect(w.Issuer.Rotate()).To(Succeed())
		Eventually(func() error {
			_, err := p.with(w.Issuer.Token("bob", "buyer")).orders.ListOrders(ctx, &orderv1.ListOrdersRequest{})
			return err
		}).WithTimeout(patience).Should(Succeed())
	})

	It("of the flash role asks for tokens too", func(ctx context.Context) {
		w := newWorld()
		p := w.start(config.RoleFlash, w.Pod())
		p.untilReady()
		place := &flashv1.PlaceFlashOrderRequest{
			Promotion: "sale",
			RequestId: "r",
			Items:     []*flashv1.FlashOrderItem{{Sku: "tea", Quantity: 1}},
		}
		_, err := p.with("").flash.PlaceFlashOrder(ctx, place)
		Expect(err).To(failWith(connect.CodeUnauthenticated, "TOKEN_MISSING"))
		_, err = p.with(w.Issuer.Token("ann", "buyer")).flash.PlaceFlashOrder(ctx, place)
		Expect(err).To(failWith(connect.CodeNotFound, "PROMOTION_NOT_FOUND"))
		_, err = p.with("").flash.GetPromotion(ctx, &flashv1.GetPromotionRequest{Promotion: "sale"})
		Expect(err).To(failWith(connect.CodeNotFound, "PROMOTION_NOT_FOUND"))
	})
})

var _ = Describe("The audit", func() {
	It("has the entry of a change that a pod died in, and of its repetition", func(ctx context.Context) {
		w := newWorld()
		p := w.standard()
		carol := w.Issuer.Token("carol", "catalog")
		_, err := p.with(carol).catalog.UpsertSku(ctx, sku("new"))
		Expect(err).NotTo(HaveOccurred())

		between := newWitness(w.DatabaseURL)
		dying := w.startChild(between.url)
		dying.untilReady()
		between.before("INSERT INTO requests", func() { _ = dying.cmd.Process.Kill() })
		_, err = dying.with(carol).catalog.AdjustStock(ctx, nine())
		Expect(err).To(HaveOccurred())
		dying.killed()

		olga := p.with(w.Issuer.Token("olga", "operations")).audit
		entries, err := olga.ListAuditEntries(ctx, &auditv1.ListAuditEntriesRequest{Subject: "carol"})
		Expect(err).NotTo(HaveOccurred())
		Expect(facts(entries)).To(Equal([]string{"carol AdjustStock nine " + audit.Attempted, "carol UpsertSku new OK"}))
		Expect(entries.GetEntries()[0].GetCompletedAt()).To(BeNil())
		Expect(entries.GetEntries()[0].GetRequest()).To(Equal(`{"requestId":"nine","sku":"tea","delta":"9"}`))
		Expect(entries.GetEntries()[0].GetRoles()).To(Equal([]string{"catalog"}))

		answer, err := p.with(carol).catalog.AdjustStock(ctx, nine())
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.GetStock().GetAvailable()).To(Equal(int64(9)))
		entries, err = olga.ListAuditEntries(ctx, &auditv1.ListAuditEntriesRequest{Subject: "carol"})
		Expect(err).NotTo(HaveOccurred())
		Expect(facts(entries)).To(Equal([]string{
			"carol AdjustStock nine OK", "carol AdjustStock nine " + audit.Attempted, "carol UpsertSku new OK",
		}))
	})

	It("is written first: where it cannot be, nothing is changed", func(ctx context.Context) {
		w := newWorld()
		p := w.standard()
		carol := w.Issuer.Token("carol", "catalog")
		_, err := p.with(carol).catalog.UpsertSku(ctx, sku("new"))
		Expect(err).NotTo(HaveOccurred())
		between := newWitness(w.DatabaseURL)
		behind := w.start(config.RoleStandard, w.through(between.url))
		behind.untilReady()
		// The connection is lost in place of the entry.
		between.before("INSERT INTO audit_entries", func() {})
		_, err = behind.with(carol).catalog.AdjustStock(ctx, nine())
		Expect(err).To(failWith(connect.CodeUnavailable, "DATABASE_UNAVAILABLE"))
		found, err := p.with(carol).catalog.GetSku(ctx, &catalogv1.GetSkuRequest{Sku: "tea"})
		Expect(err).NotTo(HaveOccurred())
		Expect(found.GetStock().GetAvailable()).To(BeZero())
		_, err = behind.with(carol).catalog.AdjustStock(ctx, nine())
		Expect(err).NotTo(HaveOccurred())
	})
})

// facts of entries are who did what by which request, and how it ended.
func facts(answer *auditv1.ListAuditEntriesResponse) []string {
	var out []string
	for _, e := range answer.GetEntries() {
		rpc := e.GetProcedure()[strings.LastIndex(e.GetProcedure(), "/")+1:]
		out = append(out, strings.Join([]string{e.GetSubject(), rpc, e.GetRequestId(), e.GetOutcome()}, " "))
	}
	return out
}
