package desk_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

// lastEvent decodes the newest event of an order that is of the message's type.
func (w *world) lastEvent(ctx context.Context, id string, into proto.Message) {
	GinkgoHelper()
	var payload []byte
	Expect(w.pool.QueryRow(ctx, `SELECT payload FROM outbox WHERE order_id = $1 AND type = $2
		ORDER BY version DESC LIMIT 1`, id, string(into.ProtoReflect().Descriptor().FullName())).Scan(&payload)).To(Succeed())
	Expect(proto.Unmarshal(payload, into)).To(Succeed())
}

// history is an order's, from a version on, as staff see it.
func (w *world) history(ctx context.Context, id string, from int64) []string {
	GinkgoHelper()
	var out []string
	for _, c := range w.story(support(ctx), id).GetChanges() {
		if c.GetVersion() > from {
			out = append(out, c.GetEvent()+"|"+c.GetActor()+"|"+c.GetReason())
		}
	}
	return out
}

func cancel(o *orderv1.Order, reason string) *deskv1.CancelOrderRequest {
	return &deskv1.CancelOrderRequest{
		RequestId: uuid.NewString(), OrderId: o.GetOrderId(), Version: o.GetVersion(), Reason: reason,
	}
}

func refund(o *orderv1.Order, restock bool, units ...int64) *deskv1.RefundUnitsRequest {
	req := &deskv1.RefundUnitsRequest{
		RequestId: uuid.NewString(), OrderId: o.GetOrderId(), Version: o.GetVersion(), Reason: "torn", Restock: restock,
	}
	for i, n := range units {
		if n > 0 {
			req.Lines = append(req.Lines, &deskv1.RefundedUnits{Line: int64(i + 1), Quantity: n})
		}
	}
	return req
}

// parcel puts a unit of an order into a parcel, which leaves if it is to.
func (w *world) parcel(ctx context.Context, o *orderv1.Order, leaves bool) {
	GinkgoHelper()
	id, lines := uuid.MustParse(o.GetOrderId()), []order.LineQuantity{{Line: 1, Quantity: 1}}
	Expect(w.tx(ctx, func(tx *database.Tx) error {
		now := w.shop.Clock.Now()
		if _, err := w.shop.Orders.ReserveShipment(ctx, tx, now, id, lines); err != nil || !leaves {
			return err
		}
		return w.shop.Orders.RecordShipped(ctx, tx, now, id, uuid.New(), lines, "test")
	})).To(Succeed())
}

var _ = Describe("Cancelling for a buyer", func() {
	var w *world
	BeforeEach(func(ctx SpecContext) {
		w = newWorld(ctx)
		w.stocked(ctx)
	})

	It("gives the stock and the coupons of an unpaid order back", func(ctx SpecContext) {
		c := w.claim(ctx)
		o := w.place(ctx, 2, c)
		Expect(w.levels(ctx, tea).Available).To(BeEquivalentTo(8))
		answer, err := w.service.CancelOrder(support(ctx), cancel(o, "they rang"))
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.GetOrder().GetState()).To(Equal(orderv1.OrderState_ORDER_STATE_CANCELLED))
		Expect(answer.GetOrder().GetCancelReason()).To(Equal("STAFF"))
		Expect(w.levels(ctx, tea).Available).To(BeEquivalentTo(10))
		Expect(w.texts(ctx, "SELECT state FROM coupons WHERE coupon_id = $1", c)).To(Equal([]string{"AVAILABLE"}))
		Expect(w.history(ctx, o.GetOrderId(), 1)).To(Equal([]string{"cancel|staff sam|they rang"}))
		event := &orderv1.OrderCancelled{}
		w.lastEvent(ctx, o.GetOrderId(), event)
		Expect(event.GetCause().GetActor()).To(Equal("staff sam"))
		Expect(event.GetCause().GetReason()).To(Equal("they rang"))
		Expect(event.GetOrder().GetCancelReason()).To(Equal("STAFF"))
	})

	It("refunds a paid order in full", func(ctx SpecContext) {
		c := w.claim(ctx)
		placed := w.place(ctx, 2, c)
		w.pay(ctx, placed.GetOrderId())
		o := w.order(ctx, placed.GetOrderId())
		// Words that are codes elsewhere are words here.
		answer, err := w.service.CancelOrder(support(ctx), cancel(o, "REFUNDED"))
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.GetOrder().GetCancelReason()).To(Equal("STAFF"))
		Expect(answer.GetOrder().GetRefundStatus()).To(Equal(orderv1.RefundStatus_REFUND_STATUS_PENDING))
		Expect(w.shop.Refunds(ctx, uuid.MustParse(o.GetOrderId()))).To(BeEquivalentTo(170))
		Expect(w.levels(ctx, tea).Available).To(BeEquivalentTo(10))
		Expect(w.texts(ctx, "SELECT state FROM coupons WHERE coupon_id = $1", c)).To(Equal([]string{"AVAILABLE"}))
	})

	It("leaves a cancelled order as it is, and refuses one that has left", func(ctx SpecContext) {
		o := w.place(ctx, 1)
		first, err := w.service.CancelOrder(support(ctx), cancel(o, "one"))
		Expect(err).NotTo(HaveOccurred())
		again, err := w.service.CancelOrder(support(ctx), cancel(first.GetOrder(), "two"))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.GetOrder().GetVersion()).To(Equal(first.GetOrder().GetVersion()))
		Expect(w.levels(ctx, tea).Available).To(BeEquivalentTo(10))

		left := w.paid(ctx, testorder.Line{Quantity: 2, UnitPrice: 100})
		w.parcel(ctx, left, true)
		_, err = w.service.CancelOrder(support(ctx), cancel(w.order(ctx, left.GetOrderId()), "late"))
		refused(err, "ORDER_STATE_CONFLICT", map[string]string{"state": "SHIPPED"})
	})

	It("lets one of two win, whatever each of them wants", func(ctx SpecContext) {
		for range 10 {
			o := w.paid(ctx, testorder.Line{Quantity: 2, UnitPrice: 100})
			errs := make([]error, 3)
			var wg sync.WaitGroup
			wg.Go(func() { _, errs[0] = w.service.CancelOrder(support(ctx), cancel(o, "one")) })
			wg.Go(func() { _, errs[1] = w.service.RefundUnits(support(ctx), refund(o, true, 1)) })
			wg.Go(func() {
				_, errs[2] = w.service.TagOrder(support(ctx), &deskv1.TagOrderRequest{
					RequestId: uuid.NewString(), OrderId: o.GetOrderId(), Version: o.GetVersion(), Add: []string{"vip"},
				})
			})
			wg.Wait()
			after := w.order(ctx, o.GetOrderId())
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
					continue
				}
				refused(err, "ORDER_CHANGED", map[string]string{"version": strconv.FormatInt(after.GetVersion(), 10)})
			}
			Expect(won).To(Equal(1))
			Expect(after.GetState() == orderv1.OrderState_ORDER_STATE_CANCELLED).To(Equal(errs[0] == nil))
			Expect(len(after.GetTags()) == 1).To(Equal(errs[2] == nil))
			want := map[bool]int64{errs[0] == nil: 200, errs[1] == nil: 100}[true]
			Expect(w.shop.Refunds(ctx, uuid.MustParse(o.GetOrderId()))).To(Equal(want))
			Expect(w.levels(ctx, o.GetLines()[0].GetSku()).Available).To(Equal(want / 100))
		}
	})

	It("answers the same request with the first answer, and refuses its id for another", func(ctx SpecContext) {
		o := w.place(ctx, 2)
		req := cancel(o, "one")
		first, err := w.service.CancelOrder(support(ctx), req)
		Expect(err).NotTo(HaveOccurred())
		w.change(support(ctx), o.GetOrderId())
		again, err := w.service.CancelOrder(support(ctx), req)
		Expect(err).NotTo(HaveOccurred())
		Expect(proto.Equal(first, again)).To(BeTrue())
		other := proto.CloneOf(req)
		other.Reason = "two"
		_, err = w.service.CancelOrder(support(ctx), other)
		refused(err, "REQUEST_ID_REUSED", nil)
		_, err = w.service.AddNote(support(ctx), &deskv1.AddNoteRequest{
			RequestId: req.GetRequestId(), OrderId: o.GetOrderId(), Text: "hm",
		})
		refused(err, "REQUEST_ID_REUSED", nil)
		_, err = w.service.CancelOrder(support(ctx), cancel(&orderv1.Order{OrderId: uuid.NewString(), Version: 1}, "none"))
		refused(err, "ORDER_NOT_FOUND", nil)
	})
})

var _ = Describe("Refunding units", func() {
	var w *world
	BeforeEach(func(ctx SpecContext) { w = newWorld(ctx) })

	It("gives back what was paid for them, once, and tells of it", func(ctx SpecContext) {
		o := w.paid(ctx, testorder.Line{Quantity: 3, UnitPrice: 100, Discount: 10, Freight: 5},
			testorder.Line{Quantity: 1, UnitPrice: 50})
		req := refund(o, true, 1)
		var amounts []int64
		for range 2 {
			answer, err := w.service.RefundUnits(support(ctx), req)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.GetOrder().GetState()).To(Equal(orderv1.OrderState_ORDER_STATE_PAID))
			amounts = append(amounts, answer.GetAmount().GetAmount())
		}
		Expect(amounts[0]).To(Equal(amounts[1]))
		Expect(amounts[0]).To(BeNumerically("~", 295/3, 1))
		Expect(w.levels(ctx, o.GetLines()[0].GetSku()).Available).To(BeEquivalentTo(1))
		Expect(w.history(ctx, o.GetOrderId(), o.GetVersion())).To(Equal([]string{"grant_refund|staff sam|torn"}))
		event := &orderv1.OrderRefundGranted{}
		w.lastEvent(ctx, o.GetOrderId(), event)
		Expect(event.GetCause().GetActor() + "|" + event.GetCause().GetReason()).To(Equal("staff sam|torn"))
		Expect(event.GetOrder().GetLines()[0].GetReturnedQuantity()).To(BeEquivalentTo(1))

		rest, err := w.service.RefundUnits(support(ctx), refund(w.order(ctx, o.GetOrderId()), false, 2, 1))
		Expect(err).NotTo(HaveOccurred())
		Expect(amounts[0] + rest.GetAmount().GetAmount()).To(BeEquivalentTo(345))
		Expect(rest.GetOrder().GetState()).To(Equal(orderv1.OrderState_ORDER_STATE_CANCELLED))
		Expect(rest.GetOrder().GetCancelReason()).To(Equal("REFUNDED"))
		Expect(w.levels(ctx, o.GetLines()[0].GetSku()).Available).To(BeEquivalentTo(1), "the others are not restocked")
		Expect(w.shop.Refunds(ctx, uuid.MustParse(o.GetOrderId()))).To(BeEquivalentTo(345))
		w.lastEvent(ctx, o.GetOrderId(), &orderv1.OrderCancelled{})
	})

	It("refuses units that a parcel has, that were refunded or that there never were", func(ctx SpecContext) {
		o := w.paid(ctx, testorder.Line{Quantity: 4, UnitPrice: 100})
		w.parcel(ctx, o, true)
		w.parcel(ctx, o, false)
		o = w.order(ctx, o.GetOrderId())
		answer, err := w.service.RefundUnits(support(ctx), refund(o, false, 1))
		Expect(err).NotTo(HaveOccurred())
		for _, tt := range []struct {
			units []int64
			line  string
			left  string
		}{{[]int64{3}, "1", "1"}, {[]int64{0, 1}, "2", "0"}, {[]int64{1, 1}, "2", "0"}} {
			_, err = w.service.RefundUnits(support(ctx), refund(answer.GetOrder(), false, tt.units...))
			refused(err, "UNITS_NOT_HERE", map[string]string{"line": tt.line, "left": tt.left})
		}
		_, err = w.service.RefundUnits(support(ctx), refund(answer.GetOrder(), false, 2))
		refused(err, "PARCEL_REQUESTED", nil)
		Expect(w.shop.Refunds(ctx, uuid.MustParse(o.GetOrderId()))).To(BeEquivalentTo(100))
		_, err = w.service.RefundUnits(support(ctx), refund(answer.GetOrder(), false, 1))
		Expect(err).NotTo(HaveOccurred())
	})

	It("refuses an order that was not paid", func(ctx SpecContext) {
		w.stocked(ctx)
		_, err := w.service.RefundUnits(support(ctx), refund(w.place(ctx, 1), false, 1))
		refused(err, "ORDER_STATE_CONFLICT", map[string]string{"state": "PENDING_PAYMENT"})
	})
})

var _ = Describe("Small changes of an order", func() {
	var w *world
	BeforeEach(func(ctx SpecContext) { w = newWorld(ctx) })

	It("gives it another address until a parcel is asked for", func(ctx SpecContext) {
		w.exec(ctx, `INSERT INTO freight_templates (name, currency, charge_by, updated_at)
			VALUES ('post', 'CNY', 'PIECE', now())`)
		w.exec(ctx, `INSERT INTO freight_rules (template, country, region, not_deliverable, first_units, first_charge,
			additional_units, additional_charge) VALUES ('post', '', '', false, 1, 7, 1, 3)`)
		w.exec(ctx, `INSERT INTO delivery_methods (name, title, template, position, updated_at)
			VALUES ('standard', 'Post', 'post', 1, now())`)
		o := w.paid(ctx, testorder.Line{Quantity: 2, UnitPrice: 100})
		to := &addressv1.Address{Recipient: "Mei", Phone: "+86 7654321", Country: "CN", City: "Suzhou", Street: "2 Canal"}
		deliver := func(o *orderv1.Order) (*deskv1.SetDeliveryResponse, error) {
			return w.service.SetDelivery(support(ctx), &deskv1.SetDeliveryRequest{
				RequestId: uuid.NewString(), OrderId: o.GetOrderId(), Version: o.GetVersion(), Reason: "they moved",
				Delivery: &quotev1.Delivery{Address: to, Method: "standard"},
			})
		}
		answer, err := deliver(o)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.GetOrder().GetAddress().GetRecipient()).To(Equal("Mei"))
		Expect(w.order(ctx, o.GetOrderId()).GetAddress().GetStreet()).To(Equal("2 Canal"))
		Expect(w.history(ctx, o.GetOrderId(), o.GetVersion())).To(Equal([]string{"set_delivery|staff sam|they moved"}))
		event := &orderv1.OrderDeliverySet{}
		w.lastEvent(ctx, o.GetOrderId(), event)
		Expect(event.GetCause().GetReason()).To(Equal("they moved"))
		_, err = deliver(o)
		refused(err, "ORDER_CHANGED", map[string]string{"version": strconv.FormatInt(o.GetVersion()+1, 10)})
		w.parcel(ctx, o, false)
		_, err = deliver(w.order(ctx, o.GetOrderId()))
		refused(err, "PARCEL_REQUESTED", nil)
	})

	It("puts on as many tags as an order may have", func(ctx SpecContext) {
		o := w.paid(ctx, testorder.Line{Quantity: 1, UnitPrice: 100})
		var tags []string
		for n := range 20 {
			tags = append(tags, fmt.Sprintf("t-%02d", n))
		}
		tag := func(add, remove []string) (*orderv1.Order, error) {
			answer, err := w.service.TagOrder(support(ctx), &deskv1.TagOrderRequest{
				RequestId: uuid.NewString(), OrderId: o.GetOrderId(), Version: o.GetVersion(), Add: add, Remove: remove,
			})
			if err == nil {
				o = answer.GetOrder()
			}
			return answer.GetOrder(), err
		}
		full, err := tag(tags, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(full.GetTags()).To(Equal(tags))
		_, err = tag([]string{"one-more"}, nil)
		refused(err, "TOO_MANY_TAGS", map[string]string{"most": "20"})
		same, err := tag([]string{"t-00"}, []string{"not-there"})
		Expect(err).NotTo(HaveOccurred())
		Expect(same.GetVersion()).To(Equal(full.GetVersion()), "nothing has changed")
		other, err := tag([]string{"a"}, []string{"t-00"})
		Expect(err).NotTo(HaveOccurred())
		Expect(other.GetTags()).To(Equal(append([]string{"a"}, tags[1:]...)))
		none, err := tag(nil, other.GetTags())
		Expect(err).NotTo(HaveOccurred())
		Expect(none.GetTags()).To(BeEmpty())
		w.follow(ctx, uuid.MustParse(o.GetOrderId()))
		Expect(w.texts(ctx, "SELECT term FROM desk_terms WHERE kind = 'tag'")).To(BeEmpty())
	})

	It("ends notes and tags before the history is longer than what is read of it", func(ctx SpecContext) {
		o := w.paid(ctx, testorder.Line{Quantity: 1, UnitPrice: 100})
		w.exec(ctx, "UPDATE orders SET version = 899 WHERE order_id = $1", o.GetOrderId())
		Expect(w.change(support(ctx), o.GetOrderId()).GetVersion()).To(BeEquivalentTo(900))
		_, err := w.service.AddNote(support(ctx), &deskv1.AddNoteRequest{RequestId: "n", OrderId: o.GetOrderId(), Text: "hm"})
		refused(err, "TOO_MANY_CHANGES", map[string]string{"most": "900"})
		_, err = w.service.TagOrder(support(ctx), &deskv1.TagOrderRequest{
			RequestId: "t", OrderId: o.GetOrderId(), Version: 900, Add: []string{"vip"},
		})
		refused(err, "TOO_MANY_CHANGES", map[string]string{"most": "900"})
		_, err = w.service.CancelOrder(support(ctx), cancel(w.order(ctx, o.GetOrderId()), "still possible"))
		Expect(err).NotTo(HaveOccurred())
	})

	It("keeps a note once a request", func(ctx SpecContext) {
		o := w.paid(ctx, testorder.Line{Quantity: 1, UnitPrice: 100})
		add := func(request, id, text string) (*deskv1.AddNoteResponse, error) {
			return w.service.AddNote(support(ctx), &deskv1.AddNoteRequest{RequestId: request, OrderId: id, Text: text})
		}
		for range 3 {
			answer, err := add("n", o.GetOrderId(), "hm")
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.GetNote().GetAuthor()).To(Equal("sam"))
		}
		Expect(w.texts(ctx, "SELECT text FROM order_notes WHERE order_id = $1", o.GetOrderId())).To(Equal([]string{"hm"}))
		_, err := add("n", o.GetOrderId(), "other")
		Expect(rpcerr.Reason(err)).To(Equal("REQUEST_ID_REUSED"))
		_, err = add("m", uuid.NewString(), "hm")
		refused(err, "ORDER_NOT_FOUND", nil)
		event := &orderv1.OrderNoted{}
		w.lastEvent(ctx, o.GetOrderId(), event)
		Expect(event.GetCause().GetActor()).To(Equal("staff sam"))
	})
})
