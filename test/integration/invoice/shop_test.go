package invoice_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	auditv1 "github.com/orderd-dev/orderd/api/gen/orderd/audit/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/audit/v1/auditv1connect"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/desk/v1/deskv1connect"
	invoicev1 "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1/invoicev1connect"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/payment/v1/paymentv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
	"github.com/orderd-dev/orderd/test/kit/testshop"
)

// pods are a standard pod and a worker, as the operator starts them, with a push gateway.
type pods struct {
	*testshop.Shop
	url      string
	gateway  *pushgateway.Gateway
	requests atomic.Int64
}

func newPods() *pods {
	GinkgoHelper()
	p := &pods{Shop: testshop.New(GinkgoTB(), GinkgoWriter)}
	p.gateway, _ = p.PushGateway(nil)
	p.url = p.Ready(config.RoleStandard, "standard-0", p.Pod()).URL
	p.Ready(config.RoleWorker, "worker-0", p.Pod())
	return p
}

// id is one that was not used before.
func (p *pods) id() string { return fmt.Sprintf("request-%d", p.requests.Add(1)) }

// caller is somebody with a token.
type caller struct {
	audit    auditv1connect.AuditServiceClient
	catalog  catalogv1connect.CatalogServiceClient
	desk     deskv1connect.DeskServiceClient
	invoices invoicev1connect.InvoiceServiceClient
	orders   orderv1connect.OrderServiceClient
	payments paymentv1connect.PaymentServiceClient
}

func (p *pods) caller(subject string, roles ...string) *caller {
	c := connect.NewClient(connecthttp.NewTransport(http.DefaultClient, p.url),
		issuer.Bearer(p.Issuer.Token(subject, roles...)))
	return &caller{
		audit:    auditv1connect.NewAuditServiceClient(c),
		catalog:  catalogv1connect.NewCatalogServiceClient(c),
		desk:     deskv1connect.NewDeskServiceClient(c),
		invoices: invoicev1connect.NewInvoiceServiceClient(c),
		orders:   orderv1connect.NewOrderServiceClient(c),
		payments: paymentv1connect.NewPaymentServiceClient(c),
	}
}

// bought is an order of the buyer's that was placed with the wish for an invoice, and paid.
func (p *pods) bought(ctx context.Context, name string) string {
	GinkgoHelper()
	staff, b := p.caller("carol", "catalog"), p.caller(name, "buyer")
	must(staff.catalog.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{RequestId: p.id(), Sku: &catalogv1.Sku{
		Sku: "tea", Title: "Green tea", Price: &moneyv1.Money{Amount: 1000, Currency: "CNY"}, OnSale: true,
	}}))
	must(staff.catalog.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: p.id(), Sku: "tea", Delta: 10}))
	placed := must(b.orders.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
		RequestId: p.id(), Lines: []*orderv1.PlaceOrderLine{{Sku: "tea", Quantity: 2}}, Invoice: person("Ann Lee"),
	})).GetOrder()
	charged := must(b.payments.CreatePayment(ctx, &paymentv1.CreatePaymentRequest{
		RequestId: p.id(), OrderId: placed.GetOrderId(), Provider: "sandbox",
	}))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, charged.GetRedirectUrl(), nil)
	Expect(err).NotTo(HaveOccurred())
	res, err := http.DefaultClient.Do(req)
	Expect(err).NotTo(HaveOccurred())
	Expect(res.Body.Close()).To(Succeed())
	Expect(res.StatusCode).To(Equal(http.StatusOK))
	return placed.GetOrderId()
}

// must is for calls that a spec is not about.
func must[T any](answer T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return answer
}

func forIssue(i *invoicev1.Invoice) *invoicev1.IssueInvoiceRequest {
	return &invoicev1.IssueInvoiceRequest{
		RequestId: uuid.NewString(), InvoiceId: i.GetInvoiceId(), Version: i.GetVersion(), Number: "24312000000012345678",
		IssuedAt: timestamppb.Now(), Amount: &moneyv1.Money{Amount: 2000, Currency: "CNY"}, File: "fapiao/2024/1.ofd",
	}
}

var _ = Describe("a shop of pods", func() {
	It("has an order's invoice from its placing to the buyer's page", func(ctx context.Context) {
		p := newPods()
		orderID := p.bought(ctx, buyer)
		ann, tax := p.caller(buyer, "buyer"), p.caller("tax", "invoice-sync")
		var work []*invoicev1.Invoice
		Eventually(func(g Gomega) {
			answer, err := tax.invoices.ListInvoices(ctx, &invoicev1.ListInvoicesRequest{State: requested})
			g.Expect(err).NotTo(HaveOccurred())
			work = answer.GetInvoices()
			g.Expect(work).To(HaveLen(1))
		}).WithContext(ctx).Should(Succeed())
		Expect(work[0].GetOrderId()).To(Equal(orderID))
		Expect(work[0].GetRequest().GetTitle()).To(Equal("Ann Lee"))
		must(tax.invoices.IssueInvoice(ctx, forIssue(work[0])))

		mine := must(ann.invoices.ListOrderInvoices(ctx, &invoicev1.ListOrderInvoicesRequest{OrderId: orderID})).GetInvoices()
		Expect(mine).To(HaveLen(1))
		Expect(mine[0].GetState()).To(Equal(issued))
		Expect(mine[0].GetFile()).To(Equal("fapiao/2024/1.ofd"))

		By("the buyer's device is told that it is issued, and nothing of what the buyer asked for")
		told := func() (texts []string) {
			for _, n := range p.gateway.Taken() {
				if n.Data.Event == "invoice_changed" {
					texts = append(texts, n.Data.Body)
				}
			}
			return texts
		}
		Eventually(told).WithContext(ctx).Should(Equal([]string{"Your invoice for Green tea is now: issued."}))

		By("the desk shows it, and each role what it needs")
		for role, want := range map[string][2]string{
			"support":   {"Ann Lee", "fapiao/2024/1.ofd"},
			"finance":   {"Ann Lee", "fapiao/2024/1.ofd"},
			"marketing": {"A***", "***"},
		} {
			story := must(p.caller("kim", role).desk.FindOrder(ctx,
				&deskv1.FindOrderRequest{Key: &deskv1.FindOrderRequest_OrderId{OrderId: orderID}}))
			Expect(story.GetInvoices()).To(HaveLen(1), role)
			Expect(story.GetInvoices()[0].GetRequest().GetTitle()).To(Equal(want[0]), role)
			Expect(story.GetInvoices()[0].GetFile()).To(Equal(want[1]), role)
		}

		By("the audit has who did it, without what is the buyer's")
		must(p.caller("fay", "finance").invoices.ListInvoices(ctx, &invoicev1.ListInvoicesRequest{}))
		must(p.caller("sam", "support").invoices.ListOrderInvoices(ctx,
			&invoicev1.ListOrderInvoicesRequest{BuyerId: buyer, OrderId: orderID}))
		for subject, procedure := range map[string]string{
			"tax": "IssueInvoice", "fay": "ListInvoices", "sam": "ListOrderInvoices",
		} {
			entries := must(p.caller("olga", "operations").audit.ListAuditEntries(ctx,
				&auditv1.ListAuditEntriesRequest{Subject: subject})).GetEntries()
			Expect(entries).NotTo(BeEmpty(), subject)
			Expect(entries[0].GetProcedure()).To(HaveSuffix(procedure))
			Expect(entries[0].GetRequest()).NotTo(ContainSubstring("fapiao/2024"))
		}
	})

	It("lets each do what is theirs", func(ctx context.Context) {
		p := newPods()
		orderID := p.bought(ctx, buyer)
		wish := func(buyerID string) *invoicev1.RequestInvoiceRequest {
			return &invoicev1.RequestInvoiceRequest{
				RequestId: p.id(), BuyerId: buyerID, OrderId: orderID, Invoice: person("Ann"),
			}
		}
		for subject, role := range map[string]string{"backend": "checkout", "sam": "support", buyer: "buyer"} {
			must(p.caller(subject, role).invoices.RequestInvoice(ctx, wish(buyer)))
		}
		refused := func(err error) string {
			Expect(err).To(HaveOccurred())
			return rpcerr.Reason(err)
		}
		bob := p.caller("bob", "buyer")
		_, err := bob.invoices.RequestInvoice(ctx, wish(buyer))
		Expect(refused(err)).To(Equal("OTHER_BUYER"))
		_, err = bob.invoices.RequestInvoice(ctx, wish(""))
		Expect(refused(err)).To(Equal("ORDER_NOT_FOUND"))
		_, err = bob.invoices.ListOrderInvoices(ctx, &invoicev1.ListOrderInvoicesRequest{OrderId: orderID})
		Expect(refused(err)).To(Equal("ORDER_NOT_FOUND"))
		open := must(p.caller("fay", "finance").invoices.ListInvoices(ctx, &invoicev1.ListInvoicesRequest{})).GetInvoices()[0]
		for _, role := range []string{"buyer", "checkout", "support", "marketing", "operations", "fulfilment-sync"} {
			c := p.caller("mallory", role).invoices
			_, err = c.IssueInvoice(ctx, forIssue(open))
			Expect(refused(err)).To(Equal("ROLE_MISSING"), role)
			_, err = c.ListInvoices(ctx, &invoicev1.ListInvoicesRequest{})
			Expect(refused(err)).To(Equal("ROLE_MISSING"), role)
		}
		_, err = p.caller("fay", "finance").invoices.RequestInvoice(ctx, wish(buyer))
		Expect(refused(err)).To(Equal("ROLE_MISSING"))
	})

	It("refuses what is no document", func(ctx context.Context) {
		p := newPods()
		tax := p.caller("tax", "invoice-sync")
		good := forIssue(&invoicev1.Invoice{InvoiceId: uuid.NewString(), Version: 1})
		_, err := tax.invoices.IssueInvoice(ctx, good)
		Expect(rpcerr.Reason(err)).To(Equal("INVOICE_NOT_FOUND"))
		for field, change := range map[string]func(*invoicev1.IssueInvoiceRequest){
			"file: http":       func(r *invoicev1.IssueInvoiceRequest) { r.File = "http://files.example.org/1.pdf" },
			"file: javascript": func(r *invoicev1.IssueInvoiceRequest) { r.File = "javascript:alert(1)" },
			"file: elsewhere":  func(r *invoicev1.IssueInvoiceRequest) { r.File = "//evil.example.org/1.pdf" },
			"file: none":       func(r *invoicev1.IssueInvoiceRequest) { r.File = "" },
			"file: long":       func(r *invoicev1.IssueInvoiceRequest) { r.File = strings.Repeat("a", 513) },
			"number":           func(r *invoicev1.IssueInvoiceRequest) { r.Number = " 1" },
			"version":          func(r *invoicev1.IssueInvoiceRequest) { r.Version = 0 },
			"amount: nothing":  func(r *invoicev1.IssueInvoiceRequest) { r.Amount.Amount = 0 },
			"amount":           func(r *invoicev1.IssueInvoiceRequest) { r.Amount = nil },
			"issued_at: ahead": func(r *invoicev1.IssueInvoiceRequest) {
				r.IssuedAt = timestamppb.New(time.Now().Add(25 * time.Hour))
			},
			"issued_at": func(r *invoicev1.IssueInvoiceRequest) { r.IssuedAt = nil },
		} {
			req := proto.CloneOf(good)
			change(req)
			_, err := tax.invoices.IssueInvoice(ctx, req)
			Expect(rpcerr.Reason(err)).To(Equal("INVALID_REQUEST"), field)
			name, _, _ := strings.Cut(field, ":")
			Expect(err.Error()).To(ContainSubstring(name), field)
		}
		for _, file := range []string{"https://files.example.org/1.pdf?sign=a%2Fb", "fapiao/2024/1.ofd"} {
			req := proto.CloneOf(good)
			req.RequestId, req.File = p.id(), file
			_, err := tax.invoices.IssueInvoice(ctx, req)
			Expect(rpcerr.Reason(err)).To(Equal("INVOICE_NOT_FOUND"), file)
		}
	})
})
