package returns_test

import (
	"context"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

// three costs 3 * 100 - 20 + 7 = 287, which three units cannot share evenly.
var three = testorder.Line{Quantity: 3, UnitPrice: 100, Discount: 20, Freight: 7}

var _ = Describe("a return with the parcel", func() {
	var w *world
	BeforeEach(func(ctx context.Context) { w = newWorld(ctx) })

	It("goes all the way, once a request id", func(ctx context.Context) {
		id := w.delivered(ctx, three, three)
		req := wanted(id, withParcel, line(1, 2), line(2, 1))
		first, err := w.returns.RequestReturn(ctx, req)
		Expect(err).NotTo(HaveOccurred())
		again, err := w.returns.RequestReturn(ctx, req)
		Expect(err).NotTo(HaveOccurred())
		r := first.GetReturn()
		Expect(again.GetReturn().GetReturnId()).To(Equal(r.GetReturnId()))
		Expect(r.GetPictures()).To(Equal([]string{"pictures/1"}))
		rid := r.GetReturnId()

		_, err = w.refund(ctx, rid, nil)
		Expect(rpcerr.Reason(err)).To(Equal("RETURN_STATE_CONFLICT"))
		approve := &returnsv1.ApproveReturnRequest{RequestId: "a", ReturnId: rid}
		for range 2 {
			_, err = w.returns.ApproveReturn(ctx, approve)
			Expect(err).NotTo(HaveOccurred())
		}
		send := &returnsv1.SendReturnRequest{
			RequestId:      "s",
			BuyerId:        buyer,
			ReturnId:       rid,
			Carrier:        "post",
			TrackingNumber: "P1",
		}
		sent, err := w.returns.SendReturn(ctx, send)
		Expect(err).NotTo(HaveOccurred())
		Expect(sent.GetReturn().GetState()).To(Equal(returnsv1.ReturnState_RETURN_STATE_IN_TRANSIT))
		_, err = w.returns.CancelReturn(ctx, &returnsv1.CancelReturnRequest{RequestId: "c", BuyerId: buyer, ReturnId: rid})
		Expect(rpcerr.Reason(err)).To(Equal("RETURN_STATE_CONFLICT"))
		_, err = w.returns.ReceiveReturn(ctx, &returnsv1.ReceiveReturnRequest{RequestId: "r", ReturnId: rid})
		Expect(err).NotTo(HaveOccurred())

		_, err = w.returns.InspectReturn(ctx, &returnsv1.InspectReturnRequest{
			RequestId: "i0",
			ReturnId:  rid,
			Lines:     []*returnsv1.InspectedLine{{Line: 2, Restock: 2}},
		})
		Expect(rpcerr.Reason(err)).To(Equal("RESTOCK_EXCEEDS"))
		_, err = w.returns.InspectReturn(ctx, &returnsv1.InspectReturnRequest{
			RequestId: "i1",
			ReturnId:  rid,
			Lines:     []*returnsv1.InspectedLine{{Line: 1, Restock: 1}},
			Note:      "one is scratched",
		})
		Expect(err).NotTo(HaveOccurred())
		refund := &returnsv1.RefundReturnRequest{RequestId: "f", ReturnId: rid}
		for range 2 {
			done, err := w.returns.RefundReturn(ctx, refund)
			Expect(err).NotTo(HaveOccurred())
			Expect(done.GetReturn().GetState()).To(Equal(returnsv1.ReturnState_RETURN_STATE_REFUNDED))
			// 287 * 2/3 and 287 * 1/3, rounded down.
			Expect(done.GetReturn().GetRefund().GetAmount()).To(Equal(int64(191 + 95)))
			Expect(done.GetReturn().GetLines()[1].GetRefund().GetAmount()).To(Equal(int64(95)))
		}
		Expect(w.refunds(ctx, id)).To(Equal(int64(286)))
		o := w.order(ctx, id)
		Expect(o.Lines[0].Returned).To(Equal(int64(2)))
		levels, err := w.shop.Levels(ctx, o, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(levels.Available).To(Equal(int64(1)))
		levels, err = w.shop.Levels(ctx, o, 2)
		Expect(err).NotTo(HaveOccurred())
		Expect(levels.Available).To(BeZero())
		Expect(w.steps(ctx, rid)).To(Equal([]string{"request", "approve", "send", "receive", "inspect", "refund"}))
		Expect(
			w.announced(ctx, rid),
		).To(Equal([]string{"REQUESTED", "APPROVED", "IN_TRANSIT", "RECEIVED", "RECEIVED", "REFUNDED"}))
		_, err = w.refund(ctx, rid, nil)
		Expect(rpcerr.Reason(err)).To(Equal("RETURN_STATE_CONFLICT"))
	})

	It("sums to exactly what was paid, however it is cut", func(ctx context.Context) {
		id := w.delivered(ctx, three)
		for range 3 {
			rid := w.approved(ctx, id, withParcel, line(1, 1))
			_, err := w.returns.ReceiveReturn(ctx, &returnsv1.ReceiveReturnRequest{RequestId: uuid.NewString(), ReturnId: rid})
			Expect(err).NotTo(HaveOccurred())
			Expect(w.steps(ctx, rid)).To(Equal([]string{"request", "approve", "send", "receive"}))
			_, err = w.refund(ctx, rid, nil)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(w.refunds(ctx, id)).To(Equal(int64(287)))
		_, err := w.request(ctx, id, withParcel, line(1, 1))
		Expect(rpcerr.Reason(err)).To(Equal("NOT_RETURNABLE"))
		Expect(rpcerr.Metadata(err)).To(Equal(map[string]string{"line": "1", "left": "0"}))
	})

	It("is refunded in part, and never for more than was paid for its units", func(ctx context.Context) {
		id := w.delivered(ctx, three)
		rid := w.approved(ctx, id, refundOnly, line(1, 2))
		much, some := int64(192), int64(50)
		_, err := w.refund(ctx, rid, &much)
		Expect(rpcerr.Reason(err)).To(Equal("REFUND_EXCEEDS"))
		_, err = w.returns.RefundReturn(ctx,
			&returnsv1.RefundReturnRequest{RequestId: "x", ReturnId: rid, Amount: &moneyv1.Money{Amount: 1, Currency: "EUR"}})
		Expect(rpcerr.Reason(err)).To(Equal("CURRENCY_MISMATCH"))
		done, err := w.refund(ctx, rid, &some)
		Expect(err).NotTo(HaveOccurred())
		Expect(done.GetRefund().GetAmount()).To(Equal(some))
		Expect(w.refunds(ctx, id)).To(Equal(some))

		none := int64(0)
		last := w.approved(ctx, id, refundOnly, line(1, 1))
		_, err = w.refund(ctx, last, &none)
		Expect(err).NotTo(HaveOccurred())
		Expect(w.refunds(ctx, id)).To(Equal(some))
	})

	It("is rejected with a reason, and its units can be asked back again", func(ctx context.Context) {
		id := w.delivered(ctx, three)
		r, err := w.request(ctx, id, withParcel, line(1, 3))
		Expect(err).NotTo(HaveOccurred())
		_, err = w.request(ctx, id, withParcel, line(1, 1))
		Expect(rpcerr.Reason(err)).To(Equal("NOT_RETURNABLE"))
		_, err = w.returns.RejectReturn(ctx,
			&returnsv1.RejectReturnRequest{RequestId: "r", ReturnId: r.GetReturnId(), Reason: "worn"})
		Expect(err).NotTo(HaveOccurred())
		got, err := w.returns.GetReturn(ctx, &returnsv1.GetReturnRequest{BuyerId: buyer, ReturnId: r.GetReturnId()})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.GetReturn().GetRejection()).To(Equal("worn"))
		rid := w.approved(ctx, id, withParcel, line(1, 3))
		_, err = w.returns.CancelReturn(ctx, &returnsv1.CancelReturnRequest{RequestId: "c", BuyerId: buyer, ReturnId: rid})
		Expect(err).NotTo(HaveOccurred())
		_, err = w.request(ctx, id, withParcel, line(1, 1))
		Expect(err).NotTo(HaveOccurred())
	})

	It("is for what has left, of orders that are paid, for a time", func(ctx context.Context) {
		id := w.paid(ctx, three)
		_, err := w.request(ctx, id, withParcel, line(1, 1))
		Expect(rpcerr.Reason(err)).To(Equal("NOT_RETURNABLE"))
		_, err = w.request(ctx, id, refundOnly, line(2, 1))
		Expect(rpcerr.Reason(err)).To(Equal("NOT_RETURNABLE"))
		Expect(w.shop.Cancel(ctx, buyer, id)).To(Succeed())
		_, err = w.request(ctx, id, refundOnly, line(1, 1))
		Expect(rpcerr.Reason(err)).To(Equal("ORDER_STATE_CONFLICT"))

		id = w.delivered(ctx, three)
		w.shop.Clock.Advance(returns.DefaultWindow - time.Minute)
		_, err = w.request(ctx, id, withParcel, line(1, 1))
		Expect(err).NotTo(HaveOccurred())
		w.shop.Clock.Advance(2 * time.Minute)
		_, err = w.request(ctx, id, withParcel, line(1, 1))
		Expect(rpcerr.Reason(err)).To(Equal("RETURN_WINDOW_CLOSED"))
	})

	It("is nobody else's", func(ctx context.Context) {
		id := w.delivered(ctx, three)
		req := wanted(id, withParcel, line(1, 1))
		req.BuyerId = "bob"
		_, err := w.returns.RequestReturn(ctx, req)
		Expect(rpcerr.Reason(err)).To(Equal("ORDER_NOT_FOUND"))
		rid := w.approved(ctx, id, withParcel, line(1, 1))
		_, err = w.returns.CancelReturn(ctx, &returnsv1.CancelReturnRequest{RequestId: "c", BuyerId: "bob", ReturnId: rid})
		Expect(rpcerr.Reason(err)).To(Equal("RETURN_NOT_FOUND"))
		_, err = w.returns.SendReturn(ctx,
			&returnsv1.SendReturnRequest{RequestId: "s", BuyerId: "bob", ReturnId: rid, Carrier: "x", TrackingNumber: "y"})
		Expect(rpcerr.Reason(err)).To(Equal("RETURN_NOT_FOUND"))
		_, err = w.returns.GetReturn(ctx, &returnsv1.GetReturnRequest{BuyerId: "bob", ReturnId: rid})
		Expect(rpcerr.Reason(err)).To(Equal("RETURN_NOT_FOUND"))
		list, err := w.returns.ListReturns(ctx, &returnsv1.ListReturnsRequest{BuyerId: "bob"})
		Expect(err).NotTo(HaveOccurred())
		Expect(list.GetReturns()).To(BeEmpty())
	})

	It("is listed for its buyer and for staff", func(ctx context.Context) {
		var made []string
		for range 5 {
			id := w.delivered(ctx, three)
			made = append(made, w.approved(ctx, id, withParcel, line(1, 1)))
			w.shop.Clock.Advance(time.Second)
		}
		var got []string
		mine := &returnsv1.ListReturnsRequest{BuyerId: buyer, PageSize: 2}
		for {
			page, err := w.returns.ListReturns(ctx, mine)
			Expect(err).NotTo(HaveOccurred())
			for _, r := range page.GetReturns() {
				got = append([]string{r.GetReturnId()}, got...)
			}
			if mine.PageToken = page.GetNextPageToken(); mine.PageToken == "" {
				break
			}
		}
		Expect(got).To(Equal(made))
		got = nil
		all := &returnsv1.FindReturnsRequest{State: returnsv1.ReturnState_RETURN_STATE_APPROVED, PageSize: 2}
		for {
			page, err := w.returns.FindReturns(ctx, all)
			Expect(err).NotTo(HaveOccurred())
			for _, r := range page.GetReturns() {
				got = append(got, r.GetReturnId())
			}
			if all.PageToken = page.GetNextPageToken(); all.PageToken == "" {
				break
			}
		}
		Expect(got).To(Equal(made))
	})
})

var _ = Describe("a refund of what has not left", func() {
	var w *world
	BeforeEach(func(ctx context.Context) { w = newWorld(ctx) })

	It("opens the parcel, restocks, and ships the rest", func(ctx context.Context) {
		id := w.paid(ctx, three, three)
		rid := w.approved(ctx, id, refundOnly, line(1, 2))
		done, err := w.refund(ctx, rid, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(done.GetUnshipped()).To(BeTrue())
		parcels := w.parcels(ctx, id)
		Expect(parcels).To(HaveLen(2))
		Expect(parcels[0].GetException()).To(Equal("REFUNDED"))
		Expect(parcels[1].GetLines()).To(HaveLen(2))
		Expect(parcels[1].GetLines()[0].GetQuantity()).To(Equal(int64(1)))
		o := w.order(ctx, id)
		Expect(o.Lines[0].Withdrawn).To(Equal(int64(2)))
		Expect(o.Lines[0].Shipping).To(Equal(int64(1)))
		levels, err := w.shop.Levels(ctx, o, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(levels.Available).To(Equal(int64(2)))
		w.told(ctx, id, shipmentv1.ShipmentEventCode_SHIPMENT_EVENT_CODE_DELIVERED)
		Expect(w.order(ctx, id).State).To(Equal(order.Delivered))
		_, err = w.request(ctx, id, withParcel, line(1, 2))
		Expect(rpcerr.Reason(err)).To(Equal("NOT_RETURNABLE"))
		_, err = w.request(ctx, id, withParcel, line(1, 1))
		Expect(err).NotTo(HaveOccurred())
	})

	It("of everything cancels the order", func(ctx context.Context) {
		id := w.paid(ctx, three)
		rid := w.approved(ctx, id, refundOnly, line(1, 3))
		_, err := w.refund(ctx, rid, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(w.order(ctx, id).State).To(Equal(order.Cancelled))
		Expect(w.refunds(ctx, id)).To(Equal(int64(287)))
		Expect(w.parcels(ctx, id)).To(HaveLen(1))
	})

	It("is refused once it has left", func(ctx context.Context) {
		id := w.paid(ctx, three)
		rid := w.approved(ctx, id, refundOnly, line(1, 1))
		w.told(ctx, id, shipmentv1.ShipmentEventCode_SHIPMENT_EVENT_CODE_COLLECTED)
		_, err := w.refund(ctx, rid, nil)
		Expect(rpcerr.Reason(err)).To(Equal("ALREADY_SHIPPED"))
		Expect(w.refunds(ctx, id)).To(BeZero())
	})

	It("is refused once the order is cancelled, which refunded it", func(ctx context.Context) {
		id := w.paid(ctx, three)
		rid := w.approved(ctx, id, refundOnly, line(1, 1))
		Expect(w.shop.Cancel(ctx, buyer, id)).To(Succeed())
		_, err := w.refund(ctx, rid, nil)
		Expect(rpcerr.Reason(err)).To(Equal("ORDER_STATE_CONFLICT"))
		Expect(w.refunds(ctx, id)).To(Equal(int64(287)))
	})
})

// A refund is granted with the return's id as its key, so that what the provider pays is found again.
var _ = It("is paid back by the key of its return", func(ctx context.Context) {
	w := newWorld(ctx)
	id := w.delivered(ctx, three)
	rid := w.approved(ctx, id, refundOnly, line(1, 3))
	_, err := w.refund(ctx, rid, nil)
	Expect(err).NotTo(HaveOccurred())
	Expect(w.shop.PaidBack(ctx, id, "return:"+rid)).To(Succeed())
	o, err := order.NewService(
		order.ServiceOptions{Store: w.shop.Orders, PaymentTimeout: time.Hour},
	).GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: buyer, OrderId: id.String()})
	Expect(err).NotTo(HaveOccurred())
	Expect(o.GetOrder().GetRefundStatus()).To(Equal(orderv1.RefundStatus_REFUND_STATUS_REFUNDED))
})
