package desk_test

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

func byNumber(number string) *deskv1.FindOrderRequest {
	return &deskv1.FindOrderRequest{Key: &deskv1.FindOrderRequest_Number{Number: number}}
}

func byTransaction(id string) *deskv1.FindOrderRequest {
	return &deskv1.FindOrderRequest{Key: &deskv1.FindOrderRequest_TransactionId{TransactionId: id}}
}

func byTracking(number string) *deskv1.FindOrderRequest {
	return &deskv1.FindOrderRequest{Key: &deskv1.FindOrderRequest_TrackingNumber{TrackingNumber: number}}
}

func byID(id string) *deskv1.FindOrderRequest {
	return &deskv1.FindOrderRequest{Key: &deskv1.FindOrderRequest_OrderId{OrderId: id}}
}

// shipped is a sample that was paid and has left.
func shipped(transaction, tracking string) *sample {
	at := time.Now().UTC().Truncate(time.Minute)
	return &sample{
		id: uuid.New(), buyer: buyer, state: "SHIPPED", currency: "CNY", total: 100, created: at, paidAt: &at, shipped: 1,
		address: somePeople[1], skus: []string{"tea"}, tags: []string{}, coupons: []uuid.UUID{}, provider: "sandbox",
		method: "card", transactions: []string{transaction}, tracking: []string{tracking}, returned: "REQUESTED", notes: 1,
	}
}

var _ = Describe("Finding one order", func() {
	var w *world
	BeforeEach(func(ctx SpecContext) { w = newWorld(ctx) })

	It("goes by its id, its number however it is written, its transaction and its tracking number", func(ctx SpecContext) {
		one, other := shipped("tx-1", "SF-1"), shipped("tx-2", "SF-2")
		w.store(ctx, one, other)
		number := orderid.Number(one.id)
		for _, req := range []*deskv1.FindOrderRequest{
			byID(one.id.String()), byID(strings.ToUpper(one.id.String())), byNumber(number),
			byNumber(strings.ToLower(number)), byNumber(strings.ReplaceAll(number, "-", "")),
			byNumber(" " + strings.ReplaceAll(number, "-", " ") + " "), byNumber(number + "\n"), byNumber("\t" + number),
			byNumber(strings.ReplaceAll(number, "-", "–")), byNumber(strings.NewReplacer("0", "o", "1", "I").Replace(number)),
			byTransaction("tx-1"), byTracking("SF-1"),
		} {
			found, err := w.service.FindOrder(support(ctx), req)
			Expect(err).NotTo(HaveOccurred(), "%v", req)
			Expect(found.GetOrder().GetOrderId()).To(Equal(one.id.String()))
			Expect(found.GetOrder().GetNumber()).To(Equal(number))
		}
	})

	It("says so if there is none, or several", func(ctx SpecContext) {
		one, other := shipped("tx-1", "SF-1"), shipped("tx-1", "SF-1")
		w.store(ctx, one, other)
		for _, req := range []*deskv1.FindOrderRequest{
			byID(uuid.NewString()), byNumber(orderid.Number(uuid.New())), byNumber("261130"), byTransaction("tx"),
			byTracking("sf-2"), byTransaction("SF-1"),
		} {
			_, err := w.service.FindOrder(support(ctx), req)
			refused(err, "ORDER_NOT_FOUND", nil)
		}
		for _, req := range []*deskv1.FindOrderRequest{byTransaction("tx-1"), byTracking("SF-1")} {
			_, err := w.service.FindOrder(support(ctx), req)
			refused(err, "KEY_AMBIGUOUS", nil)
			Expect(strings.Split(rpcerr.Metadata(err)["order_ids"], ",")).To(ConsistOf(one.id.String(), other.id.String()))
		}
	})

	It("tells the whole story to staff, and to buyers what is theirs", func(ctx SpecContext) {
		s := shipped("tx-1", "SF-1")
		w.store(ctx, s)
		w.exec(ctx, `INSERT INTO order_history (order_id, version, event, from_state, to_state, actor, reason, at)
			VALUES ($1, 1, 'place', '', 'PENDING_PAYMENT', 'buyer', '', now())`, s.id)
		w.exec(ctx, `INSERT INTO refunds (refund_id, provider, transaction_id, payment_id, order_id, order_key, paid_by, seq,
				left_after, state, version, reason, amount, currency, bucket, created_at)
			SELECT $2, 'sandbox', 'order/1', payment_id, order_id, 'k', 'tx-1', 1, 0, 'SUCCEEDED', 1, 'STAFF', 7, 'CNY', 0, now()
			FROM orders WHERE order_id = $1`, s.id, uuid.New())
		_, err := w.service.TagOrder(support(ctx), &deskv1.TagOrderRequest{
			RequestId: "tag", OrderId: s.id.String(), Version: 1, Add: []string{"vip"}, Reason: "they buy much",
		})
		Expect(err).NotTo(HaveOccurred())
		for _, text := range []string{"one", "two"} {
			_, err = w.service.AddNote(as(ctx, "rita", accessv1.Role_ROLE_RETURNS), &deskv1.AddNoteRequest{
				RequestId: text, OrderId: s.id.String(), Text: text,
			})
			Expect(err).NotTo(HaveOccurred())
		}

		story := w.story(support(ctx), s.id.String())
		var changes []string
		for _, c := range story.GetChanges() {
			changes = append(changes, c.GetEvent()+"|"+c.GetActor()+"|"+c.GetReason())
		}
		Expect(changes).To(Equal([]string{
			"place|buyer|", "tag|staff sam|they buy much", "note|staff rita|", "note|staff rita|",
		}))
		Expect(story.GetPayments()).To(HaveLen(2))
		Expect(story.GetRefunds()).To(HaveLen(1))
		Expect(story.GetRefunds()[0].GetAmount().GetAmount()).To(BeEquivalentTo(7))
		Expect(story.GetShipments()).To(HaveLen(1))
		Expect(story.GetShipments()[0].GetTrackingNumber()).To(Equal("SF-1"))
		Expect(story.GetReturns()).To(HaveLen(2))
		Expect(story.GetReturns()[1].GetState().String()).To(Equal("RETURN_STATE_REQUESTED"))
		Expect(story.GetOrder().GetPaymentId()).NotTo(BeEmpty())
		for _, p := range story.GetPayments() {
			// Only the one that counts has succeeded.
			counts := p.GetPaymentId() == story.GetOrder().GetPaymentId()
			Expect(p.GetTransactionId() != "").To(Equal(counts))
		}
		Expect(story.GetOrder().GetTags()).To(Equal([]string{"vip"}))
		var notes []string
		for _, n := range story.GetNotes() {
			notes = append(notes, n.GetAuthor()+": "+n.GetText())
		}
		Expect(notes).To(Equal([]string{"rita: two", "rita: one", "sam: hm"}))

		theirs, err := w.orders.GetOrderHistory(ctx, &orderv1.GetOrderHistoryRequest{BuyerId: buyer, OrderId: s.id.String()})
		Expect(err).NotTo(HaveOccurred())
		Expect(theirs.GetChanges()).To(HaveLen(1))
		got, err := w.orders.GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: buyer, OrderId: s.id.String()})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.GetOrder().GetTags()).To(BeEmpty())
	})

	It("shows each role what it needs of the buyer", func(ctx SpecContext) {
		o := w.paid(ctx, testorder.Line{Quantity: 1, UnitPrice: 100})
		w.exec(ctx, `UPDATE orders SET
			invoice = '{"kind": "INVOICE_KIND_PERSONAL", "title": "Li Lei", "email": "li@example.org"}',
			buyer_message = 'ring twice', gift_note = 'to Mei' WHERE order_id = $1`, o.GetOrderId())
		for role, want := range map[accessv1.Role]struct{ recipient, phone, street, message, title, email string }{
			accessv1.Role_ROLE_SUPPORT:    {"Li", "+86 123456", "1 West Lake", "ring twice", "Li Lei", "li@example.org"},
			accessv1.Role_ROLE_FULFILMENT: {"Li", "+86 123456", "1 West Lake", "ring twice", "Li Lei", "li@example.org"},
			accessv1.Role_ROLE_RETURNS:    {"Li", "+86 123456", "1 West Lake", "ring twice", "Li Lei", "li@example.org"},
			accessv1.Role_ROLE_FINANCE:    {"L***", "***56", "***", "***", "Li Lei", "li@example.org"},
			accessv1.Role_ROLE_MARKETING:  {"L***", "***56", "***", "***", "L***", "***"},
		} {
			caller := as(ctx, "kim", role)
			check := func(o *orderv1.Order) {
				GinkgoHelper()
				Expect(o.GetAddress().GetRecipient()).To(Equal(want.recipient), role.String())
				Expect(o.GetAddress().GetPhone()).To(Equal(want.phone), role.String())
				Expect(o.GetAddress().GetStreet()).To(Equal(want.street), role.String())
				Expect(o.GetAddress().GetCity()).To(Equal("Hangzhou"), role.String())
				Expect(o.GetBuyerMessage()).To(Equal(want.message), role.String())
				Expect(o.GetInvoice().GetTitle()).To(Equal(want.title), role.String())
				Expect(o.GetInvoice().GetEmail()).To(Equal(want.email), role.String())
			}
			check(w.story(caller, o.GetOrderId()).GetOrder())
			listed, err := w.service.ListOrders(caller, &deskv1.ListOrdersRequest{})
			Expect(err).NotTo(HaveOccurred())
			Expect(listed.GetOrders()[0].GetRecipient()).To(Equal(want.recipient), role.String())
			Expect(listed.GetOrders()[0].GetPhone()).To(Equal(want.phone), role.String())

			check(w.change(caller, o.GetOrderId()))
		}
	})

	It("masks a change's answer for who asks for it again, and not for ever", func(ctx SpecContext) {
		o := w.paid(ctx, testorder.Line{Quantity: 1, UnitPrice: 100})
		req := &deskv1.TagOrderRequest{RequestId: "r", OrderId: o.GetOrderId(), Version: o.GetVersion(), Add: []string{"vip"}}
		for _, tt := range []struct {
			role      accessv1.Role
			recipient string
		}{
			{accessv1.Role_ROLE_MARKETING, "L***"}, {accessv1.Role_ROLE_SUPPORT, "Li"}, {accessv1.Role_ROLE_MARKETING, "L***"},
		} {
			answer, err := w.service.TagOrder(as(ctx, "kim", tt.role), req)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.GetOrder().GetAddress().GetRecipient()).To(Equal(tt.recipient))
		}
	})
})

// change is what a caller is answered who writes a note.
func (w *world) change(ctx context.Context, id string) *orderv1.Order {
	GinkgoHelper()
	answer, err := w.service.AddNote(ctx, &deskv1.AddNoteRequest{RequestId: uuid.NewString(), OrderId: id, Text: "hm"})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetOrder()
}
