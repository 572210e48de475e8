package delivery_test

import (
	"context"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/types/known/timestamppb"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	simulator "github.com/orderd-dev/orderd/orderd/sim/carrier"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

var tea = testorder.Line{Quantity: 3, UnitPrice: 100}

var _ = Describe("a paid order", func() {
	var w *world
	BeforeEach(func(ctx context.Context) { w = newWorld(ctx) })

	It("is requested, collected and delivered, and the order with it", func(ctx context.Context) {
		id := w.paid(ctx, tea, tea)
		w.work(0)
		s := w.only(ctx, id)
		Expect(s.GetState()).To(Equal(shipmentv1.ShipmentState_SHIPMENT_STATE_REQUESTED))
		Expect(s.GetLines()).To(HaveLen(2))
		Expect(w.order(ctx, id).State).To(Equal(order.Paid))
		parcel, _ := w.sim.Parcel(s.GetShipmentId())
		Expect(parcel.Address).To(HaveKeyWithValue("city", "Hangzhou"))
		Expect(parcel.Items).To(HaveLen(2))

		w.move(ctx, s, "COLLECTED")
		Expect(w.order(ctx, id).State).To(Equal(order.Shipped))
		w.move(ctx, s, "IN_TRANSIT", "OUT_FOR_DELIVERY", "DELIVERED")
		o := w.order(ctx, id)
		Expect(o.State).To(Equal(order.Delivered))
		Expect(o.Lines[0].Delivered).To(Equal(int64(3)))
		got := w.get(ctx, s.GetShipmentId())
		Expect(got.GetShipment().GetState()).To(Equal(shipmentv1.ShipmentState_SHIPMENT_STATE_DELIVERED))
		Expect(
			got.GetShipment().GetDeliveredAt().AsTime(),
		).NotTo(BeTemporally("<", got.GetShipment().GetShippedAt().AsTime()))
		Expect(w.steps(ctx, s.GetShipmentId())).To(Equal([]string{"request", "accept", "ship", "deliver"}))
	})

	It("waits for its address", func(ctx context.Context) {
		id, err := w.shop.Paid(ctx, buyer, false, tea)
		Expect(err).NotTo(HaveOccurred())
		w.consume(ctx, id)
		Expect(w.of(ctx, id)).To(BeEmpty())
		_, err = w.create(ctx, id)
		Expect(rpcerr.Reason(err)).To(Equal("ADDRESS_MISSING"))
		_, err = w.pool.Exec(ctx, "UPDATE orders SET address = $2 WHERE order_id = $1", id, testorder.Address)
		Expect(err).NotTo(HaveOccurred())
		set := &orderv1.OrderDeliverySet{
			Order: &orderv1.Order{OrderId: id.String(), Version: 3, State: orderv1.OrderState_ORDER_STATE_PAID},
		}
		for range 2 {
			Expect(
				w.tx(ctx, func(tx *database.Tx) error { return w.store.RequestForDeliverySet(ctx, tx, set, time.Now()) }),
			).To(Succeed())
		}
		Expect(w.of(ctx, id)).To(HaveLen(1))
	})

	It("is split by line and quantity, and no unit is shipped twice", func(ctx context.Context) {
		id, err := w.shop.Paid(ctx, buyer, true, tea, tea)
		Expect(err).NotTo(HaveOccurred())
		first, err := w.create(ctx, id, line(1, 2))
		Expect(err).NotTo(HaveOccurred())
		_, err = w.create(ctx, id, line(1, 2))
		Expect(rpcerr.Reason(err)).To(Equal("NOTHING_LEFT_TO_SHIP"))
		_, err = w.create(ctx, id, line(3, 1))
		Expect(rpcerr.Reason(err)).To(Equal("NOTHING_LEFT_TO_SHIP"))
		rest, err := w.create(ctx, id)
		Expect(err).NotTo(HaveOccurred())
		Expect(rest.GetLines()[0].GetQuantity()).To(Equal(int64(1)))
		Expect(rest.GetLines()[1].GetQuantity()).To(Equal(int64(3)))
		_, err = w.create(ctx, id)
		Expect(rpcerr.Reason(err)).To(Equal("NOTHING_LEFT_TO_SHIP"))
		w.work(0)
		Eventually(func(g Gomega) { g.Expect(w.sim.Parcels()).To(HaveLen(2)) }).Should(Succeed())
		w.move(ctx, first, "COLLECTED", "DELIVERED")
		Expect(w.order(ctx, id).State).To(Equal(order.Shipped))
		w.move(ctx, rest, "DELIVERED")
		Expect(w.order(ctx, id).State).To(Equal(order.Delivered))
	})

	It("goes with a carrier that is not configured when staff say so", func(ctx context.Context) {
		id, err := w.shop.Paid(ctx, buyer, true, tea)
		Expect(err).NotTo(HaveOccurred())
		req := &shipmentv1.CreateShipmentRequest{RequestId: "r1", OrderId: id.String(), Carrier: "by-bike"}
		_, err = w.service.CreateShipment(ctx, req)
		Expect(rpcerr.Reason(err)).To(Equal("CARRIER_UNKNOWN"))
		_, err = w.service.CreateShipment(ctx,
			&shipmentv1.CreateShipmentRequest{RequestId: "r1", OrderId: id.String(), Carrier: swift, TrackingNumber: "x"})
		Expect(rpcerr.Reason(err)).To(Equal("TRACKING_NUMBER_NOT_YOURS"))
		req.TrackingNumber = "B1"
		made, err := w.service.CreateShipment(ctx, req)
		Expect(err).NotTo(HaveOccurred())
		Expect(made.GetShipment().GetState()).To(Equal(shipmentv1.ShipmentState_SHIPMENT_STATE_IN_TRANSIT))
		again, err := w.service.CreateShipment(ctx, req)
		Expect(err).NotTo(HaveOccurred())
		Expect(again.GetShipment().GetShipmentId()).To(Equal(made.GetShipment().GetShipmentId()))
		Expect(w.order(ctx, id).State).To(Equal(order.Shipped))
		event := &shipmentv1.RecordShipmentEventRequest{
			RequestId:   "r2",
			ShipmentId:  made.GetShipment().GetShipmentId(),
			Code:        shipmentv1.ShipmentEventCode_SHIPMENT_EVENT_CODE_DELIVERED,
			Description: "at the door",
		}
		for range 2 {
			told, err := w.service.RecordShipmentEvent(ctx, event)
			Expect(err).NotTo(HaveOccurred())
			Expect(told.GetShipment().GetState()).To(Equal(shipmentv1.ShipmentState_SHIPMENT_STATE_DELIVERED))
		}
		event.Description = "elsewhere"
		_, err = w.service.RecordShipmentEvent(ctx, event)
		Expect(rpcerr.Reason(err)).To(Equal("REQUEST_ID_REUSED"))
		Expect(w.order(ctx, id).State).To(Equal(order.Delivered))
		Expect(w.get(ctx, made.GetShipment().GetShipmentId()).GetEvents()).To(HaveLen(2))
		tracked, err := w.service.TrackShipment(ctx,
			&shipmentv1.TrackShipmentRequest{BuyerId: buyer, ShipmentId: made.GetShipment().GetShipmentId()})
		Expect(err).NotTo(HaveOccurred())
		Expect(tracked.GetStale()).To(BeFalse())
		Expect(tracked.GetEvents()).To(HaveLen(2))
	})

	It("is nobody else's to see", func(ctx context.Context) {
		id := w.paid(ctx, tea)
		s := w.of(ctx, id)[0]
		_, err := w.service.TrackShipment(ctx,
			&shipmentv1.TrackShipmentRequest{BuyerId: "bob", ShipmentId: s.GetShipmentId()})
		Expect(connect.CodeOf(err)).To(Equal(connect.CodeNotFound))
		_, err = w.service.ListOrderShipments(ctx,
			&shipmentv1.ListOrderShipmentsRequest{BuyerId: "bob", OrderId: id.String()})
		Expect(rpcerr.Reason(err)).To(Equal("ORDER_NOT_FOUND"))
		_, err = w.service.TrackShipment(ctx, &shipmentv1.TrackShipmentRequest{BuyerId: buyer, ShipmentId: uuid.NewString()})
		Expect(rpcerr.Reason(err)).To(Equal("SHIPMENT_NOT_FOUND"))
	})

	It("is taken back by staff until it leaves", func(ctx context.Context) {
		id := w.paid(ctx, tea)
		w.work(0)
		s := w.only(ctx, id)
		req := &shipmentv1.CancelShipmentRequest{RequestId: "c", ShipmentId: s.GetShipmentId()}
		for range 2 {
			got, err := w.service.CancelShipment(ctx, req)
			Expect(err).NotTo(HaveOccurred())
			Expect(got.GetShipment().GetException()).To(Equal("CANCELLED"))
		}
		Eventually(func(g Gomega) {
			p, _ := w.sim.Parcel(s.GetShipmentId())
			g.Expect(p.Cancelled).To(BeTrue())
		}).Should(Succeed())
		other, err := w.create(ctx, id)
		Expect(err).NotTo(HaveOccurred())
		Eventually(func(g Gomega) { g.Expect(w.sim.Parcels()).To(HaveLen(2)) }).Should(Succeed())
		w.move(ctx, other, "COLLECTED")
		_, err = w.service.CancelShipment(ctx,
			&shipmentv1.CancelShipmentRequest{RequestId: "d", ShipmentId: other.GetShipmentId()})
		Expect(rpcerr.Reason(err)).To(Equal("SHIPMENT_STATE_CONFLICT"))
	})

	It("has no more shipped than was bought when ten ask at once", func(ctx context.Context) {
		id, err := w.shop.Paid(ctx, buyer, true, testorder.Line{Quantity: 7, UnitPrice: 1})
		Expect(err).NotTo(HaveOccurred())
		var wg sync.WaitGroup
		var mu sync.Mutex
		made := 0
		for range 10 {
			wg.Go(func() {
				defer GinkgoRecover()
				_, err := w.create(ctx, id, line(1, 2))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made++
					return
				}
				Expect(rpcerr.Reason(err)).To(Equal("NOTHING_LEFT_TO_SHIP"))
			})
		}
		wg.Wait()
		Expect(made).To(Equal(3))
		Expect(w.order(ctx, id).Lines[0].Shipping).To(Equal(int64(6)))
	})

	It("is listed for staff page by page", func(ctx context.Context) {
		var want, got []string
		for range 5 {
			want = append(want, w.of(ctx, w.paid(ctx, tea))[0].GetShipmentId())
		}
		req := &shipmentv1.ListShipmentsRequest{PageSize: 2, State: shipmentv1.ShipmentState_SHIPMENT_STATE_REQUESTED}
		for {
			page, err := w.service.ListShipments(ctx, req)
			Expect(err).NotTo(HaveOccurred())
			for _, s := range page.GetShipments() {
				got = append(got, s.GetShipmentId())
			}
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		Expect(got).To(ConsistOf(want))
		one, err := w.service.ListShipments(ctx,
			&shipmentv1.ListShipmentsRequest{OrderId: w.get(ctx, want[0]).GetShipment().GetOrderId()})
		Expect(err).NotTo(HaveOccurred())
		Expect(one.GetShipments()).To(HaveLen(1))
		none, err := w.service.ListShipments(ctx,
			&shipmentv1.ListShipmentsRequest{State: shipmentv1.ShipmentState_SHIPMENT_STATE_EXCEPTION})
		Expect(err).NotTo(HaveOccurred())
		Expect(none.GetShipments()).To(BeEmpty())
		_, err = w.service.ListShipments(ctx, &shipmentv1.ListShipmentsRequest{PageToken: "nonsense"})
		Expect(rpcerr.Reason(err)).To(Equal("INVALID_PAGE_TOKEN"))
	})
})

var _ = Describe("an order that is cancelled while its parcel waits", func() {
	var w *world
	var id uuid.UUID
	BeforeEach(func(ctx context.Context) {
		w = newWorld(ctx)
		id = w.paid(ctx, tea)
	})
	ended := func(ctx context.Context) {
		GinkgoHelper()
		Eventually(func(g Gomega) {
			s := w.of(ctx, id)[0]
			g.Expect(s.GetState()).To(Equal(shipmentv1.ShipmentState_SHIPMENT_STATE_EXCEPTION))
			g.Expect(s.GetException()).To(Equal("ORDER_CANCELLED"))
		}).Should(Succeed())
		Expect(w.order(ctx, id).Lines[0].Shipping).To(BeZero())
	}

	It("before the carrier was asked, never reaches it as a parcel", func(ctx context.Context) {
		Expect(w.shop.Cancel(ctx, buyer, id)).To(Succeed())
		w.work(0)
		ended(ctx)
		Expect(w.sim.Parcels()).To(BeEmpty())
	})

	It("after the carrier has taken it, is cancelled there", func(ctx context.Context) {
		w.work(0)
		s := w.only(ctx, id)
		Expect(w.shop.Cancel(ctx, buyer, id)).To(Succeed())
		event := &orderv1.OrderCancelled{Order: &orderv1.Order{OrderId: id.String(), PaidAt: timestamppb.Now()}}
		for range 2 {
			Expect(
				w.tx(ctx, func(tx *database.Tx) error { return w.store.StopForCancelled(ctx, tx, event, time.Now()) }),
			).To(Succeed())
		}
		ended(ctx)
		Eventually(func(g Gomega) {
			p, _ := w.sim.Parcel(s.GetShipmentId())
			g.Expect(p.Cancelled).To(BeTrue())
		}).Should(Succeed())
	})

	It("before a late payment, leaves although the word of the cancellation comes after it", func(ctx context.Context) {
		w.work(0)
		s := w.only(ctx, id)
		event := &orderv1.OrderCancelled{Order: &orderv1.Order{OrderId: id.String(), CancelReason: "EXPIRED"}}
		Expect(
			w.tx(ctx, func(tx *database.Tx) error { return w.store.StopForCancelled(ctx, tx, event, time.Now()) }),
		).To(Succeed())
		w.move(ctx, s, "COLLECTED")
		Expect(w.order(ctx, id).State).To(Equal(order.Shipped))
	})

	It("without a word from the consumer, is found when the carrier is asked the next time", func(ctx context.Context) {
		w.work(0)
		s := w.only(ctx, id)
		Expect(w.shop.Cancel(ctx, buyer, id)).To(Succeed())
		w.shop.Clock.Advance(time.Hour)
		ended(ctx)
		Eventually(func(g Gomega) {
			p, _ := w.sim.Parcel(s.GetShipmentId())
			g.Expect(p.Cancelled).To(BeTrue())
		}).Should(Succeed())
	})

	It("and that was collected nevertheless, is not shipped and says so", func(ctx context.Context) {
		w.work(0)
		s := w.only(ctx, id)
		Expect(w.shop.Cancel(ctx, buyer, id)).To(Succeed())
		w.move(ctx, s, "COLLECTED")
		ended(ctx)
		Expect(w.order(ctx, id).State).To(Equal(order.Cancelled))
		Eventually(func(g Gomega) {
			var told []string
			for _, e := range w.get(ctx, s.GetShipmentId()).GetEvents() {
				told = append(told, e.GetDescription())
			}
			g.Expect(told).To(ContainElement(ContainSubstring("could not be stopped")))
		}).Should(Succeed())
		w.move(ctx, s, "DELIVERED")
		ended(ctx)
	})
})

var _ = Describe("a pod that is killed", func() {
	var w *world
	BeforeEach(func(ctx context.Context) { w = newWorld(ctx) })

	It("between a carrier's answer and the commit asks again and gets the same parcel", func(ctx context.Context) {
		id := w.paid(ctx, tea)
		startChild(childDiesRequesting, w).killed()
		Expect(w.sim.Parcels()).To(HaveLen(1))
		Expect(w.of(ctx, id)[0].GetTrackingNumber()).To(BeEmpty())
		w.work(0)
		s := w.only(ctx, id)
		Expect(w.sim.Parcels()).To(HaveLen(1))
		Expect(s.GetTrackingNumber()).To(Equal(w.sim.Parcels()[0].TrackingNumber))
		Expect(w.steps(ctx, s.GetShipmentId())).To(Equal([]string{"request", "accept"}))
	})

	It("between the carrier's word that it will not collect and the commit tells it again", func(ctx context.Context) {
		id := w.paid(ctx, tea)
		stop := w.work(0)
		s := w.only(ctx, id)
		stop()
		_, err := w.service.CancelShipment(ctx,
			&shipmentv1.CancelShipmentRequest{RequestId: "c", ShipmentId: s.GetShipmentId()})
		Expect(err).NotTo(HaveOccurred())
		startChild(childDiesCancelling, w).killed()
		calls := w.sim.Calls()
		w.work(0)
		Eventually(func(g Gomega) {
			g.Expect(w.sim.Calls()).To(BeNumerically(">", calls))
			var waiting int
			g.Expect(w.pool.QueryRow(ctx, "SELECT count(*) FROM shipments WHERE work <> ''").Scan(&waiting)).To(Succeed())
			g.Expect(waiting).To(BeZero())
		}).Should(Succeed())
	})

	It("between what a carrier told and the commit asks again", func(ctx context.Context) {
		id := w.paid(ctx, tea)
		stop := w.work(0)
		s := w.only(ctx, id)
		stop()
		w.sim.Set(simulator.Faults{LosePushes: true})
		w.move(ctx, s, "COLLECTED", "DELIVERED")
		w.hurry(ctx)
		startChild(childDiesTracking, w).killed()
		Expect(w.order(ctx, id).State).To(Equal(order.Paid))
		w.work(0)
		Eventually(func(g Gomega) { g.Expect(w.order(ctx, id).State).To(Equal(order.Delivered)) }).Should(Succeed())
		Expect(w.steps(ctx, s.GetShipmentId())).To(Equal([]string{"request", "accept", "ship", "deliver"}))
	})

	It("between a push's commit and its answer is told again, and nothing happens twice", func(ctx context.Context) {
		id := w.paid(ctx, tea)
		stop := w.work(0)
		s := w.only(ctx, id)
		stop()
		c := startChild(childDiesPushed, w)
		w.sim.PushTo(c.said)
		Expect(w.sim.Move(ctx, s.GetShipmentId(), "COLLECTED")).NotTo(Succeed())
		c.killed()
		Expect(w.order(ctx, id).State).To(Equal(order.Shipped))
		w.sim.PushTo(w.pushes)
		Expect(w.sim.PushAgain(ctx, s.GetShipmentId())).To(Succeed())
		Expect(w.steps(ctx, s.GetShipmentId())).To(Equal([]string{"request", "accept", "ship"}))
		Expect(w.get(ctx, s.GetShipmentId()).GetEvents()).To(HaveLen(2))
	})
})
