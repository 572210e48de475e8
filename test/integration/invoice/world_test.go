package invoice_test

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	invoicev1 "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/invoice"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

const (
	buyer       = "ann"
	connections = 16

	requested = invoicev1.InvoiceState_INVOICE_STATE_REQUESTED
	issued    = invoicev1.InvoiceState_INVOICE_STATE_ISSUED
	rejected  = invoicev1.InvoiceState_INVOICE_STATE_REJECTED
	voided    = invoicev1.InvoiceState_INVOICE_STATE_VOIDED
)

// three costs 300.
var three = testorder.Line{Quantity: 3, UnitPrice: 100}

// world is a shop's database with invoices. Nothing works in the background: follow is the consumer.
type world struct {
	pool     *pgxpool.Pool
	shop     *testorder.Shop
	invoices *invoice.Service
}

func newWorld(ctx context.Context) *world {
	GinkgoHelper()
	pool, err := database.Open(ctx, testdb.NewMigrated(GinkgoTB()), connections)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(pool.Close)
	w := &world{pool: pool}
	w.shop, err = testorder.New(ctx, pool)
	Expect(err).NotTo(HaveOccurred())
	w.invoices, err = invoice.NewService(invoice.Options{
		Pool: pool, Orders: w.shop.Orders, Clock: w.shop.Clock.Now, Random: rand.Reader,
	})
	Expect(err).NotTo(HaveOccurred())
	return w
}

// as is a context of a call by somebody with a role.
func as(ctx context.Context, subject string, role accessv1.Role) context.Context {
	roles := auth.RolesOf(role)
	return auth.WithCaller(ctx, auth.Caller{Subject: subject, Roles: roles, Acting: roles})
}

func finance(ctx context.Context) context.Context { return as(ctx, "fay", accessv1.Role_ROLE_FINANCE) }

func (w *world) paid(ctx context.Context, lines ...testorder.Line) uuid.UUID {
	GinkgoHelper()
	id, err := w.shop.Paid(ctx, buyer, false, lines...)
	Expect(err).NotTo(HaveOccurred())
	return id
}

// wishing is a paid order that was placed with the wish for an invoice.
func (w *world) wishing(ctx context.Context, lines ...testorder.Line) uuid.UUID {
	GinkgoHelper()
	id := w.paid(ctx, lines...)
	const wish = `{"kind": "INVOICE_KIND_COMPANY", "title": "Tea Ltd", "taxId": "9133X"}`
	_, err := w.pool.Exec(ctx, "UPDATE orders SET invoice = $2::jsonb WHERE order_id = $1", id, wish)
	Expect(err).NotTo(HaveOccurred())
	return id
}

// refund grants a refund of units of an order's first line, which have not left.
func (w *world) refund(ctx context.Context, id uuid.UUID, units int64) {
	GinkgoHelper()
	Expect(w.shop.Withdraw(ctx, id, uuid.NewString(), order.LineQuantity{Line: 1, Quantity: units})).To(Succeed())
}

// follow has the consumer see an event of the orders.
func (w *world) follow(ctx context.Context, ids ...uuid.UUID) error {
	var events []consume.Event
	for _, id := range ids {
		events = append(events, consume.Event{OrderID: id})
	}
	return database.ExecuteTx(ctx, w.pool, func(tx *database.Tx) error { return w.invoices.Follow(ctx, tx, events) })
}

func person(title string) *quotev1.Invoice {
	return &quotev1.Invoice{Kind: quotev1.InvoiceKind_INVOICE_KIND_PERSONAL, Title: title, Email: "ann@example.org"}
}

func (w *world) request(ctx context.Context, id uuid.UUID, title string) (*invoicev1.Invoice, error) {
	answer, err := w.invoices.RequestInvoice(ctx, &invoicev1.RequestInvoiceRequest{
		RequestId: uuid.NewString(), BuyerId: buyer, OrderId: id.String(), Invoice: person(title),
	})
	return answer.GetInvoice(), err
}

func (w *world) requested(ctx context.Context, id uuid.UUID, title string) *invoicev1.Invoice {
	GinkgoHelper()
	i, err := w.request(ctx, id, title)
	Expect(err).NotTo(HaveOccurred())
	return i
}

// toIssue is a request to issue an invoice as it was read.
func (w *world) toIssue(i *invoicev1.Invoice, number string, amount int64) *invoicev1.IssueInvoiceRequest {
	return &invoicev1.IssueInvoiceRequest{
		RequestId: uuid.NewString(), InvoiceId: i.GetInvoiceId(), Version: i.GetVersion(), Number: number,
		IssuedAt: timestamppb.New(w.shop.Clock.Now()), Amount: &moneyv1.Money{Amount: amount, Currency: testorder.Currency},
		File: "https://files.example.org/" + number + ".pdf",
	}
}

func (w *world) issue(
	ctx context.Context, i *invoicev1.Invoice, number string, amount int64,
) (*invoicev1.Invoice, error) {
	answer, err := w.invoices.IssueInvoice(finance(ctx), w.toIssue(i, number, amount))
	return answer.GetInvoice(), err
}

func (w *world) reject(ctx context.Context, i *invoicev1.Invoice, reason string) (*invoicev1.Invoice, error) {
	answer, err := w.invoices.RejectInvoice(finance(ctx), &invoicev1.RejectInvoiceRequest{
		RequestId: uuid.NewString(), InvoiceId: i.GetInvoiceId(), Version: i.GetVersion(), Reason: reason,
	})
	return answer.GetInvoice(), err
}

func (w *world) void(ctx context.Context, i *invoicev1.Invoice, number string) (*invoicev1.Invoice, error) {
	answer, err := w.invoices.VoidInvoice(finance(ctx), &invoicev1.VoidInvoiceRequest{
		RequestId: uuid.NewString(), InvoiceId: i.GetInvoiceId(), Number: number, Reason: "refunded in part",
	})
	return answer.GetInvoice(), err
}

// theirs are an order's invoices as its buyer sees them.
func (w *world) theirs(ctx context.Context, id uuid.UUID) []*invoicev1.Invoice {
	GinkgoHelper()
	answer, err := w.invoices.ListOrderInvoices(ctx,
		&invoicev1.ListOrderInvoicesRequest{BuyerId: buyer, OrderId: id.String()})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetInvoices()
}

// listed are all invoices that finance finds, two a page.
func (w *world) listed(ctx context.Context, req *invoicev1.ListInvoicesRequest) []*invoicev1.Invoice {
	GinkgoHelper()
	var all []*invoicev1.Invoice
	req.PageSize = 2
	for {
		answer, err := w.invoices.ListInvoices(finance(ctx), req)
		Expect(err).NotTo(HaveOccurred())
		all = append(all, answer.GetInvoices()...)
		if req.PageToken = answer.GetNextPageToken(); req.PageToken == "" {
			return all
		}
	}
}

// steps are the events in an invoice's history, with who made them and why.
func (w *world) steps(ctx context.Context, id string) []string {
	GinkgoHelper()
	answer, err := w.invoices.GetInvoiceHistory(ctx, &invoicev1.GetInvoiceHistoryRequest{InvoiceId: id})
	Expect(err).NotTo(HaveOccurred())
	var out []string
	for n, c := range answer.GetChanges() {
		Expect(c.GetVersion()).To(BeEquivalentTo(n + 1))
		out = append(out, fmt.Sprintf("%s|%s|%s", c.GetEvent(), c.GetActor(), c.GetReason()))
	}
	return out
}

// announced are the states in the invoice events of an order in the outbox, in sequence.
func (w *world) announced(ctx context.Context, id uuid.UUID) []string {
	GinkgoHelper()
	var out []string
	for _, e := range w.events(ctx, id) {
		out = append(out, e.GetState())
	}
	return out
}

// events are the invoice events of an order in the outbox, in sequence.
func (w *world) events(ctx context.Context, id uuid.UUID) []*orderv1.OrderInvoiceChanged {
	GinkgoHelper()
	rows, err := w.pool.Query(ctx,
		"SELECT payload FROM outbox WHERE event = 'invoice_changed' AND order_id = $1 ORDER BY version", id)
	Expect(err).NotTo(HaveOccurred())
	payloads, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	Expect(err).NotTo(HaveOccurred())
	var out []*orderv1.OrderInvoiceChanged
	for _, p := range payloads {
		e := &orderv1.OrderInvoiceChanged{}
		Expect(proto.Unmarshal(p, e)).To(Succeed())
		Expect(e.GetOrder().GetOrderId()).To(Equal(id.String()))
		out = append(out, e)
	}
	return out
}
