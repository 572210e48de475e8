package delivery_test

import (
	"context"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	simulator "github.com/orderd-dev/orderd/orderd/sim/carrier"
)

var _ = Describe("a carrier", func() {
	var w *world
	BeforeEach(func(ctx context.Context) { w = newWorld(ctx) })
	track := func(ctx context.Context, s *shipmentv1.Shipment) *shipmentv1.TrackShipmentResponse {
		GinkgoHelper()
		answer, err := w.service.TrackShipment(ctx,
			&shipmentv1.TrackShipmentRequest{BuyerId: buyer, ShipmentId: s.GetShipmentId()})
		Expect(err).NotTo(HaveOccurred())
		return answer
	}

	It("that pushes twice and in another order tells the same", func(ctx context.Context) {
		id := w.paid(ctx, tea)
		w.work(0)
		s := w.only(ctx, id)
		w.sim.Set(simulator.Faults{Duplicate: true, Reorder: true})
		w.move(ctx, s, "COLLECTED")
		w.shop.Clock.Advance(time.Second)
		w.move(ctx, s, "DELIVERED")
		Expect(w.order(ctx, id).State).To(Equal(order.Delivered))
		got := w.get(ctx, s.GetShipmentId())
		Expect(got.GetEvents()).To(HaveLen(2))
		Expect(got.GetEvents()[0].GetCode()).To(Equal(shipmentv1.ShipmentEventCode_SHIPMENT_EVENT_CODE_COLLECTED))
		Expect(w.steps(ctx, s.GetShipmentId())).To(Equal([]string{"request", "accept", "ship", "deliver"}))
	})

	It("is not believed when somebody else signs", func(ctx context.Context) {
		id := w.paid(ctx, tea)
		w.work(0)
		s := w.only(ctx, id)
		w.sim.Set(simulator.Faults{Forge: true})
		Expect(w.sim.Move(ctx, s.GetShipmentId(), "DELIVERED")).To(MatchError(ContainSubstring("answered 401")))
		Expect(w.order(ctx, id).State).To(Equal(order.Paid))
	})

	It("that pushes nothing is polled", func(ctx context.Context) {
		id := w.paid(ctx, tea)
		w.work(0)
		s := w.only(ctx, id)
		w.sim.Set(simulator.Faults{LosePushes: true})
		w.move(ctx, s, "COLLECTED", "DELIVERED")
		w.shop.Clock.Advance(time.Hour)
		Eventually(func(g Gomega) { g.Expect(w.order(ctx, id).State).To(Equal(order.Delivered)) }).Should(Succeed())
	})

	It("is asked once however many buyers ask, and not again for a minute", func(ctx context.Context) {
		w.have(waits{refresh: 10 * time.Second, pause: time.Minute})
		id := w.paid(ctx, tea)
		stop := w.work(0)
		s := w.only(ctx, id)
		stop()
		w.sim.Set(simulator.Faults{LosePushes: true, Slow: 500 * time.Millisecond})
		w.move(ctx, s, "COLLECTED")
		calls := w.sim.Calls()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				defer GinkgoRecover()
				answer := track(ctx, s)
				Expect(answer.GetStale()).To(BeFalse())
				Expect(answer.GetEvents()).To(HaveLen(2))
			})
		}
		wg.Wait()
		Expect(w.sim.Calls() - calls).To(Equal(1))
		w.move(ctx, s, "OUT_FOR_DELIVERY")
		w.shop.Clock.Advance(30 * time.Second)
		answer := track(ctx, s)
		Expect(answer.GetEvents()).To(HaveLen(2))
		Expect(answer.GetAge().AsDuration()).To(BeNumerically(">=", 30*time.Second))
		w.shop.Clock.Advance(30 * time.Second)
		Expect(track(ctx, s).GetEvents()).To(HaveLen(3))
	})

	It(
		"that is slow or dead is not waited for: the answer is what is known, and how old that is",
		func(ctx context.Context) {
			w.have(waits{refresh: little.refresh, pause: time.Minute})
			id := w.paid(ctx, tea)
			stop := w.work(0)
			s := w.only(ctx, id)
			w.move(ctx, s, "COLLECTED")
			Eventually(func() bool { return track(ctx, s).GetStale() }).Should(BeFalse())
			stop()
			w.shop.Clock.Advance(10 * time.Minute)
			w.sim.Set(simulator.Faults{Slow: time.Minute})
			begin := time.Now()
			answer := track(ctx, s)
			// Less than the pod itself waits.
			Expect(time.Since(begin)).To(BeNumerically("<", 5*time.Second))
			Expect(answer.GetStale()).To(BeTrue())
			Expect(answer.GetEvents()).To(HaveLen(2))
			Expect(answer.GetAge().AsDuration()).To(BeNumerically(">=", 10*time.Minute))

			other := w.of(ctx, w.paid(ctx, tea))[0]
			_, err := w.pool.Exec(ctx, "UPDATE shipments SET work = 'TRACK' WHERE shipment_id = $1", other.GetShipmentId())
			Expect(err).NotTo(HaveOccurred())
			w.sim.Set(simulator.Faults{Dead: true})
			Eventually(func() bool {
				Expect(track(ctx, other).GetStale()).To(BeTrue())
				return w.breaker.Open()
			}).Should(BeTrue())
			calls := w.sim.Calls()
			Expect(track(ctx, other).GetFetchedAt()).To(BeNil())
			Expect(w.sim.Calls()).To(Equal(calls))
		},
	)

	It("that refuses a parcel ends it and gives its units back", func(ctx context.Context) {
		w.sim.Set(simulator.Faults{Refuse: "too heavy"})
		id := w.paid(ctx, tea)
		w.work(0)
		Eventually(
			func(g Gomega) { g.Expect(w.of(ctx, id)[0].GetException()).To(Equal("CARRIER_REFUSED")) },
		).Should(Succeed())
		changes := w.get(ctx, w.of(ctx, id)[0].GetShipmentId()).GetChanges()
		Expect(changes[len(changes)-1].GetReason()).To(Equal("CARRIER_REFUSED: too heavy"))
		w.sim.Set(simulator.Faults{})
		_, err := w.create(ctx, id)
		Expect(err).NotTo(HaveOccurred())
	})

	It("that loses its answers has one parcel in the end", func(ctx context.Context) {
		w.sim.Set(simulator.Faults{LoseAnswers: true})
		id := w.paid(ctx, tea)
		w.work(0)
		Eventually(func(g Gomega) { g.Expect(w.sim.Parcels()).To(HaveLen(1)) }).Should(Succeed())
		w.sim.Set(simulator.Faults{})
		Eventually(func() string {
			w.hurry(ctx)
			return w.of(ctx, id)[0].GetTrackingNumber()
		}).ShouldNot(BeEmpty())
		Expect(w.sim.Parcels()).To(HaveLen(1))
	})

	It(
		"that is given up gives its units back, and is told not to collect when it is there again",
		func(ctx context.Context) {
			w.sim.Set(simulator.Faults{LoseAnswers: true})
			id := w.paid(ctx, tea)
			stop := w.work(3)
			Eventually(func() string {
				w.hurry(ctx)
				return w.of(ctx, id)[0].GetException()
			}).Should(Equal("CARRIER_UNAVAILABLE"))
			stop()
			Expect(w.order(ctx, id).Lines[0].Shipping).To(BeZero())
			w.sim.Set(simulator.Faults{})
			w.work(0)
			Eventually(func(g Gomega) {
				w.hurry(ctx)
				p, _ := w.sim.Parcel(w.of(ctx, id)[0].GetShipmentId())
				g.Expect(p.Cancelled).To(BeTrue())
			}).Should(Succeed())
		},
	)

	It("that gives a parcel up and finds it again has delivered it", func(ctx context.Context) {
		id := w.paid(ctx, tea)
		w.work(0)
		s := w.only(ctx, id)
		w.move(ctx, s, "COLLECTED", "LOST")
		Expect(w.of(ctx, id)[0].GetException()).To(Equal("LOST"))
		w.move(ctx, s, "DELIVERED")
		Expect(w.of(ctx, id)[0].GetState()).To(Equal(shipmentv1.ShipmentState_SHIPMENT_STATE_DELIVERED))
		Expect(w.order(ctx, id).State).To(Equal(order.Delivered))
	})
})
