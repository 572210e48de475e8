package invoice_test

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	invoicev1 "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/invoice"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

var _ = Describe("an invoice", func() {
	var w *world
	BeforeEach(func(ctx context.Context) { w = newWorld(ctx) })

	It("goes all the way, once a request id", func(ctx context.Context) {
		id := w.paid(ctx, three)
		ask := &invoicev1.RequestInvoiceRequest{
			RequestId: "ask", BuyerId: buyer, OrderId: id.String(), Invoice: person("Ann"),
		}
		var asked *invoicev1.Invoice
		for range 2 {
			answer, err := w.invoices.RequestInvoice(ctx, ask)
			Expect(err).NotTo(HaveOccurred())
			asked = answer.GetInvoice()
			Expect(asked.GetState()).To(Equal(requested))
			Expect(asked.GetRequest().GetTitle()).To(Equal("Ann"))
			Expect(asked.GetLeft().GetAmount()).To(BeEquivalentTo(300))
		}
		ask.Invoice.Title = "Bea"
		_, err := w.invoices.RequestInvoice(ctx, ask)
		Expect(rpcerr.Reason(err)).To(Equal("REQUEST_ID_REUSED"))

		By("the buyer and support change what was asked for")
		Expect(w.requested(ctx, id, "Ann").GetVersion()).To(BeEquivalentTo(1), "the same again is no change")
		changed := w.requested(as(ctx, "sam", accessv1.Role_ROLE_SUPPORT), id, "Ann Lee")
		Expect(changed.GetInvoiceId()).To(Equal(asked.GetInvoiceId()))
		Expect(changed.GetVersion()).To(BeEquivalentTo(2))

		By("finance issues what it has read")
		_, err = w.issue(ctx, asked, "F-1", 300)
		Expect(rpcerr.Reason(err)).To(Equal("INVOICE_CHANGED"))
		Expect(rpcerr.Metadata(err)).To(Equal(map[string]string{"version": "2"}))
		req := w.toIssue(changed, "F-1", 300)
		for range 2 {
			answer, err := w.invoices.IssueInvoice(finance(ctx), req)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.GetInvoice().GetState()).To(Equal(issued))
		}
		mine := w.theirs(ctx, id)
		Expect(mine).To(HaveLen(1))
		Expect(mine[0].GetNumber()).To(Equal("F-1"))
		Expect(mine[0].GetFile()).To(Equal("https://files.example.org/F-1.pdf"))
		Expect(mine[0].GetAmount().GetAmount()).To(BeEquivalentTo(300))
		Expect(mine[0].GetIssuedAt().AsTime()).To(Equal(req.GetIssuedAt().AsTime().Truncate(time.Millisecond)))
		Expect(mine[0].GetRequest().GetTitle()).To(Equal("Ann Lee"))
		Expect(mine[0].GetExceeds()).To(BeFalse())

		By("what is issued stays as it is")
		_, err = w.request(ctx, id, "Bea")
		Expect(rpcerr.Reason(err)).To(Equal("INVOICE_STATE_CONFLICT"))
		Expect(rpcerr.Metadata(err)).To(Equal(map[string]string{"state": "ISSUED"}))
		_, err = w.reject(ctx, mine[0], "no")
		Expect(rpcerr.Reason(err)).To(Equal("INVOICE_STATE_CONFLICT"))

		By("a voided one is followed by another")
		gone, err := w.void(ctx, mine[0], "R-1")
		Expect(err).NotTo(HaveOccurred())
		Expect(gone.GetState()).To(Equal(voided))
		Expect(gone.GetVoidingNumber()).To(Equal("R-1"))
		Expect(gone.GetReason()).To(Equal("refunded in part"))
		Expect(gone.GetNumber()).To(Equal("F-1"))
		_, err = w.void(ctx, gone, "R-2")
		Expect(rpcerr.Reason(err)).To(Equal("INVOICE_STATE_CONFLICT"))
		next := w.requested(ctx, id, "Ann")
		Expect(next.GetInvoiceId()).NotTo(Equal(gone.GetInvoiceId()))
		mine = w.theirs(ctx, id)
		Expect(mine).To(HaveLen(2))
		Expect(mine[0].GetInvoiceId()).To(Equal(next.GetInvoiceId()))

		Expect(w.steps(ctx, gone.GetInvoiceId())).To(Equal([]string{
			"request|buyer|", "change|staff sam|", "issue|staff fay|F-1", "void|staff fay|refunded in part",
		}))
		Expect(w.announced(ctx, id)).To(Equal([]string{"REQUESTED", "REQUESTED", "ISSUED", "VOIDED", "REQUESTED"}))
	})

	It("is rejected with a reason that the buyer reads, and may be asked for again", func(ctx context.Context) {
		id := w.paid(ctx, three)
		first := w.requested(ctx, id, "Ann")
		w.requested(ctx, id, "Ann Lee")
		_, err := w.reject(ctx, first, "no such company")
		Expect(rpcerr.Reason(err)).To(Equal("INVOICE_CHANGED"))
		_, err = w.reject(ctx, w.theirs(ctx, id)[0], "no such company")
		Expect(err).NotTo(HaveOccurred())
		Expect(w.theirs(ctx, id)[0].GetState()).To(Equal(rejected))
		Expect(w.theirs(ctx, id)[0].GetReason()).To(Equal("no such company"))
		again := w.requested(ctx, id, "Ann")
		Expect(again.GetVersion()).To(BeEquivalentTo(1))

		By("that one is changed then, whatever the pods' clocks say")
		w.shop.Clock.Advance(-time.Hour)
		_, err = w.reject(ctx, again, "no such company either")
		Expect(err).NotTo(HaveOccurred())
		last := w.requested(ctx, id, "Ann")
		changed := w.requested(ctx, id, "Ann Lee")
		Expect(changed.GetInvoiceId()).To(Equal(last.GetInvoiceId()))
		Expect(changed.GetVersion()).To(BeEquivalentTo(2))
	})

	It("is for paid orders, for a time", func(ctx context.Context) {
		late, open, had := w.paid(ctx, three), w.paid(ctx, three), w.paid(ctx, three)
		w.requested(ctx, open, "Ann")
		first, err := w.issue(ctx, w.requested(ctx, had, "Ann"), "F-1", 300)
		Expect(err).NotTo(HaveOccurred())
		w.shop.Clock.Advance(invoice.Window - time.Minute)
		w.requested(ctx, w.paid(ctx, three), "Ann")
		w.shop.Clock.Advance(2 * time.Minute)
		_, err = w.request(ctx, late, "Ann")
		Expect(rpcerr.Reason(err)).To(Equal("INVOICE_WINDOW_CLOSED"))
		w.requested(ctx, open, "Ann Lee")
		_, err = w.void(ctx, first, "R-1")
		Expect(err).NotTo(HaveOccurred())
		w.requested(ctx, had, "Ann")

		id := w.paid(ctx, three)
		Expect(w.shop.Cancel(ctx, buyer, id)).To(Succeed())
		_, err = w.request(ctx, id, "Ann")
		Expect(rpcerr.Reason(err)).To(Equal("ORDER_STATE_CONFLICT"))
		free := w.paid(ctx, testorder.Line{Quantity: 1, UnitPrice: 100, Discount: 100})
		_, err = w.request(ctx, free, "Ann")
		Expect(rpcerr.Reason(err)).To(Equal("NOTHING_TO_INVOICE"))
	})

	It("is nobody else's", func(ctx context.Context) {
		id := w.paid(ctx, three)
		w.requested(ctx, id, "Ann")
		_, err := w.invoices.RequestInvoice(ctx, &invoicev1.RequestInvoiceRequest{
			RequestId: "r", BuyerId: "bob", OrderId: id.String(), Invoice: person("Bob"),
		})
		Expect(connect.CodeOf(err)).To(Equal(connect.CodeNotFound))
		Expect(rpcerr.Reason(err)).To(Equal("ORDER_NOT_FOUND"))
		_, err = w.invoices.ListOrderInvoices(ctx, &invoicev1.ListOrderInvoicesRequest{BuyerId: "bob", OrderId: id.String()})
		Expect(connect.CodeOf(err)).To(Equal(connect.CodeNotFound))
		Expect(rpcerr.Reason(err)).To(Equal("ORDER_NOT_FOUND"))
		nowhere := &invoicev1.Invoice{InvoiceId: uuid.NewString(), Version: 1}
		_, err = w.issue(ctx, nowhere, "F-1", 1)
		Expect(rpcerr.Reason(err)).To(Equal("INVOICE_NOT_FOUND"))
		_, err = w.invoices.GetInvoiceHistory(ctx, &invoicev1.GetInvoiceHistoryRequest{InvoiceId: nowhere.GetInvoiceId()})
		Expect(rpcerr.Reason(err)).To(Equal("INVOICE_NOT_FOUND"))
	})

	It("cannot be asked for and changed without end", func(ctx context.Context) {
		id := w.paid(ctx, three)
		for n := range 20 {
			w.requested(ctx, id, "Ann "+string(rune('a'+n)))
		}
		_, err := w.request(ctx, id, "Ann")
		Expect(rpcerr.Reason(err)).To(Equal("TOO_MANY_INVOICES"))
		for range 9 {
			_, err := w.reject(ctx, w.theirs(ctx, id)[0], "no")
			Expect(err).NotTo(HaveOccurred())
			w.shop.Clock.Advance(time.Second)
			w.requested(ctx, id, "Ann")
		}
		_, err = w.reject(ctx, w.theirs(ctx, id)[0], "no")
		Expect(err).NotTo(HaveOccurred())
		_, err = w.request(ctx, id, "Ann")
		Expect(rpcerr.Reason(err)).To(Equal("TOO_MANY_INVOICES"))
		Expect(rpcerr.Metadata(err)).To(Equal(map[string]string{"most": "10"}))
		Expect(w.theirs(ctx, id)).To(HaveLen(10))
	})

	It("is listed for finance, oldest first, by its state", func(ctx context.Context) {
		var all, open []string
		for n := range 5 {
			i := w.requested(ctx, w.paid(ctx, three), "Ann")
			all = append(all, i.GetInvoiceId())
			if n%2 == 0 {
				open = append(open, i.GetInvoiceId())
			} else {
				_, err := w.issue(ctx, i, "F", 300)
				Expect(err).NotTo(HaveOccurred())
			}
			w.shop.Clock.Advance(time.Second)
		}
		ids := func(list []*invoicev1.Invoice) (ids []string) {
			for _, i := range list {
				ids = append(ids, i.GetInvoiceId())
			}
			return ids
		}
		Expect(ids(w.listed(ctx, &invoicev1.ListInvoicesRequest{}))).To(Equal(all))
		Expect(ids(w.listed(ctx, &invoicev1.ListInvoicesRequest{State: requested}))).To(Equal(open))
		Expect(ids(w.listed(ctx, &invoicev1.ListInvoicesRequest{State: issued}))).To(Equal([]string{all[1], all[3]}))
		Expect(w.listed(ctx, &invoicev1.ListInvoicesRequest{State: voided})).To(BeEmpty())
		_, err := w.invoices.ListInvoices(finance(ctx), &invoicev1.ListInvoicesRequest{PageToken: "x"})
		Expect(rpcerr.Reason(err)).To(Equal("INVALID_PAGE_TOKEN"))
	})
})
