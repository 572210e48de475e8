package invoice_test

import (
	"context"

	"connectrpc.com/connect/v2"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	invoicev1 "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

var _ = Describe("what is on an invoice", func() {
	var w *world
	BeforeEach(func(ctx context.Context) { w = newWorld(ctx) })

	It("is no more than was paid and not promised back", func(ctx context.Context) {
		id := w.paid(ctx, three)
		i := w.requested(ctx, id, "Ann")
		_, err := w.issue(ctx, i, "F-1", 301)
		Expect(connect.CodeOf(err)).To(Equal(connect.CodeFailedPrecondition))
		Expect(rpcerr.Reason(err)).To(Equal("INVOICE_EXCEEDS"))
		Expect(rpcerr.Metadata(err)).To(Equal(map[string]string{"field": "amount", "left": "300"}))
		w.refund(ctx, id, 1)
		Expect(w.theirs(ctx, id)[0].GetLeft().GetAmount()).To(BeEquivalentTo(200))
		_, err = w.issue(ctx, i, "F-1", 201)
		Expect(rpcerr.Metadata(err)).To(Equal(map[string]string{"field": "amount", "left": "200"}))
		req := w.toIssue(i, "F-1", 200)
		req.Amount.Currency = "EUR"
		_, err = w.invoices.IssueInvoice(finance(ctx), req)
		Expect(rpcerr.Reason(err)).To(Equal("CURRENCY_MISMATCH"))
		Expect(rpcerr.Metadata(err)).To(Equal(map[string]string{"field": "amount"}))
		_, err = w.issue(ctx, i, "F-1", 200)
		Expect(err).NotTo(HaveOccurred())
	})

	It("exceeds after a refund, until it is voided", func(ctx context.Context) {
		id, other := w.paid(ctx, three), w.paid(ctx, three)
		first, err := w.issue(ctx, w.requested(ctx, id, "Ann"), "F-1", 200)
		Expect(err).NotTo(HaveOccurred())
		_, err = w.issue(ctx, w.requested(ctx, other, "Ann"), "F-2", 300)
		Expect(err).NotTo(HaveOccurred())
		exceeding := func() []*invoicev1.Invoice {
			return w.listed(ctx, &invoicev1.ListInvoicesRequest{Exceeding: true})
		}
		w.refund(ctx, id, 1)
		Expect(w.follow(ctx, id, other)).To(Succeed())
		Expect(w.theirs(ctx, id)[0].GetExceeds()).To(BeFalse(), "200 are left")
		Expect(exceeding()).To(BeEmpty())

		w.refund(ctx, id, 1)
		By("it is shown at once, and found once the consumer has seen the refund")
		found := w.listed(ctx, &invoicev1.ListInvoicesRequest{State: issued})
		Expect(found[0].GetExceeds()).To(BeTrue())
		Expect(found[0].GetLeft().GetAmount()).To(BeEquivalentTo(100))
		Expect(found[1].GetExceeds()).To(BeFalse())
		for range 2 {
			Expect(w.follow(ctx, id, other)).To(Succeed())
			Expect(exceeding()).To(HaveLen(1))
			Expect(exceeding()[0].GetInvoiceId()).To(Equal(first.GetInvoiceId()))
			Expect(exceeding()[0].GetExceeds()).To(BeTrue())
		}
		_, err = w.void(ctx, first, "R-1")
		Expect(err).NotTo(HaveOccurred())
		Expect(exceeding()).To(BeEmpty())
		next := w.requested(ctx, id, "Ann")
		_, err = w.issue(ctx, next, "F-3", 101)
		Expect(rpcerr.Reason(err)).To(Equal("INVOICE_EXCEEDS"))
		_, err = w.issue(ctx, next, "F-3", 100)
		Expect(err).NotTo(HaveOccurred())
		Expect(w.follow(ctx, id)).To(Succeed())
		Expect(exceeding()).To(BeEmpty())
	})

	It("is nothing once all is refunded: what was asked for ends", func(ctx context.Context) {
		id := w.paid(ctx, three)
		i := w.requested(ctx, id, "Ann")
		Expect(w.shop.Cancel(ctx, buyer, id)).To(Succeed())
		_, err := w.issue(ctx, i, "F-1", 1)
		Expect(rpcerr.Metadata(err)).To(HaveKeyWithValue("left", "0"))
		for range 2 {
			Expect(w.follow(ctx, id)).To(Succeed())
			Expect(w.theirs(ctx, id)[0].GetState()).To(Equal(rejected))
			Expect(w.theirs(ctx, id)[0].GetReason()).To(Equal("NOTHING_LEFT"))
		}
		Expect(w.steps(ctx, i.GetInvoiceId())).To(Equal([]string{"request|buyer|", "reject|order|NOTHING_LEFT"}))
		Expect(w.announced(ctx, id)).To(Equal([]string{"REQUESTED", "REJECTED"}))
	})
})

var _ = Describe("an order that was placed with the wish for an invoice", func() {
	var w *world
	BeforeEach(func(ctx context.Context) { w = newWorld(ctx) })

	It("has it asked for once it is paid, once", func(ctx context.Context) {
		id, plain := w.wishing(ctx, three), w.paid(ctx, three)
		for range 2 {
			Expect(w.follow(ctx, id, plain, id)).To(Succeed())
		}
		Expect(w.theirs(ctx, plain)).To(BeEmpty())
		mine := w.theirs(ctx, id)
		Expect(mine).To(HaveLen(1))
		Expect(mine[0].GetState()).To(Equal(requested))
		Expect(mine[0].GetRequest().GetTitle()).To(Equal("Tea Ltd"))
		Expect(mine[0].GetRequest().GetTaxId()).To(Equal("9133X"))
		Expect(w.steps(ctx, mine[0].GetInvoiceId())).To(Equal([]string{"request|order|"}))

		By("after it was rejected it is the buyer's to ask again")
		_, err := w.reject(ctx, mine[0], "no such company")
		Expect(err).NotTo(HaveOccurred())
		Expect(w.follow(ctx, id)).To(Succeed())
		Expect(w.theirs(ctx, id)).To(HaveLen(1))
	})

	It("keeps what the buyer has asked for since", func(ctx context.Context) {
		id := w.wishing(ctx, three)
		asked := w.requested(ctx, id, "Ann")
		Expect(w.follow(ctx, id)).To(Succeed())
		mine := w.theirs(ctx, id)
		Expect(mine).To(HaveLen(1))
		Expect(mine[0].GetInvoiceId()).To(Equal(asked.GetInvoiceId()))
		Expect(mine[0].GetRequest().GetTitle()).To(Equal("Ann"))
	})

	It("has none if all is refunded before, or it cost nothing", func(ctx context.Context) {
		id := w.wishing(ctx, three)
		Expect(w.shop.Cancel(ctx, buyer, id)).To(Succeed())
		Expect(w.follow(ctx, id)).To(Succeed())
		Expect(w.theirs(ctx, id)).To(BeEmpty())
	})
})
