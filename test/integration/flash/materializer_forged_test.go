package flash_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/shop/materializer"
)

// forger writes to a lane's logs as somebody may who has credentials for it and owns no partition.
type forger struct {
	*lane
	ids    *orderid.Generator
	buyers int
}

func newForger(l *lane) *forger {
	GinkgoHelper()
	ids, err := orderid.NewGenerator(bytes.Repeat([]byte{7}, orderid.MinKeyBytes), time.Now, rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	return &forger{lane: l, ids: ids}
}

// reservation that fits, of another buyer of partition 0.
func (f *forger) reservation() *flashv1.Reservation {
	GinkgoHelper()
	buyer := ""
	for buyer == "" || partition.ForBuyer(buyer, f.p.Partitions) != 0 {
		f.buyers++
		buyer = fmt.Sprint("buyer-", f.buyers)
	}
	id, err := f.ids.New(buyer)
	Expect(err).NotTo(HaveOccurred())
	now := time.Now()
	return &flashv1.Reservation{
		OrderId: id[:], BuyerId: buyer, RequestId: "r", Currency: "EUR", AcceptedAtUnixMs: now.UnixMilli(),
		ExpiresAtUnixMs: now.Add(15 * time.Minute).UnixMilli(),
		Items:           []*flashv1.ReservedItem{{Sku: "a", Quantity: 1, UnitPrice: 100}},
	}
}

// write a record of the reservations to partition 0, and return the first one's id.
func (f *forger) write(ctx context.Context, reservations ...*flashv1.Reservation) uuid.UUID {
	GinkgoHelper()
	log := plog.New(f.js, f.p)
	last, err := log.Last(ctx, 0)
	Expect(err).NotTo(HaveOccurred())
	_, err = log.Append(ctx, plog.Entry{Partition: 0, Expected: last, Record: &flashv1.Record{
		Kind: &flashv1.Record_Reserved{Reserved: &flashv1.Reserved{Reservations: reservations}},
	}})
	Expect(err).NotTo(HaveOccurred())
	id, err := uuid.FromBytes(reservations[0].GetOrderId())
	Expect(err).NotTo(HaveOccurred())
	return id
}

// run a materializer that knows the key of order ids, and return its metrics.
func (f *forger) run() *prometheus.Registry {
	GinkgoHelper()
	registry := prometheus.NewRegistry()
	m, err := materializer.New(materializer.Options{
		JetStream: f.js, Writer: f.store, RatePerSecond: 10_000, Own: f.ids.Own, Clock: time.Now,
		Random: mathrand.New(mathrand.NewPCG(1, 1)), Logger: logger(), Registerer: registry,
	})
	Expect(err).NotTo(HaveOccurred())
	background(m.Run)
	return registry
}

var _ = Describe("Orders in a log that no owner wrote", func() {
	var f *forger

	BeforeEach(func(ctx SpecContext) {
		f = newForger(newLane(ctx, 2, 0, prepare.Item{SKU: "a", Quantity: 100}))
	})

	DescribeTable("are not written, and their dead letter names the field",
		func(ctx SpecContext, field string, forge func(*flashv1.Reservation)) {
			fits, forged := f.reservation(), f.reservation()
			forge(forged)
			bad := f.write(ctx, forged, fits)
			good, err := uuid.FromBytes(fits.GetOrderId())
			Expect(err).NotTo(HaveOccurred())
			metrics := f.run()
			f.drained(ctx)
			Expect(f.written(ctx)).To(Equal(map[uuid.UUID]string{good: "a"}))
			letters := f.dead(ctx)
			Expect(letters).To(HaveLen(1))
			Expect(letters[bad.String()].GetReason()).To(HavePrefix(field + ": "))
			Expect(testutil.GatherAndCount(metrics, "orderd_flash_misfit_orders_total")).To(Equal(1))
		},
		Entry("another price", "items.unit_price", func(r *flashv1.Reservation) { r.Items[0].UnitPrice = 1 }),
		Entry("another SKU", "items.sku", func(r *flashv1.Reservation) { r.Items[0].Sku = "b" }),
		Entry("a SKU twice", "items.sku", func(r *flashv1.Reservation) { r.Items = append(r.Items, r.Items[0]) }),
		Entry("less than nothing", "items.quantity", func(r *flashv1.Reservation) { r.Items[0].Quantity = -1 }),
		Entry("no items", "items", func(r *flashv1.Reservation) { r.Items = nil }),
		Entry("another currency", "currency", func(r *flashv1.Reservation) { r.Currency = "VND" }),
		Entry("a buyer of another partition", "buyer_id", func(r *flashv1.Reservation) {
			for i := 0; partition.ForBuyer(r.BuyerId, 2) == 0; i++ {
				r.BuyerId = fmt.Sprint("other-", i)
			}
		}),
		Entry("no request id", "request_id", func(r *flashv1.Reservation) { r.RequestId = "" }),
		Entry("an id of another buyer", "order_id", func(r *flashv1.Reservation) { r.OrderId[0]++ }),
		Entry("an id of another kind", "order_id", func(r *flashv1.Reservation) { r.OrderId[6] = r.OrderId[6]&0xf | 0x40 }),
		Entry("a time that has not come", "accepted_at_unix_ms", func(r *flashv1.Reservation) {
			r.AcceptedAtUnixMs += 48 * time.Hour.Milliseconds()
			r.ExpiresAtUnixMs += 48 * time.Hour.Milliseconds()
		}),
		Entry("no time to pay", "expires_at_unix_ms",
			func(r *flashv1.Reservation) { r.ExpiresAtUnixMs = r.AcceptedAtUnixMs }),
	)

	It("give their stock back, so that the sale is proved", func(ctx SpecContext) {
		cheap := f.reservation()
		cheap.Items[0].UnitPrice = 1
		f.write(ctx, cheap)
		f.run()
		f.drained(ctx)
		p := startPod(f.js, "pod-b", nil)
		ready(p)
		f.release(p)
		f.released(ctx)
		f.expectProved(ctx)
		Expect(sales(ctx, f.js, f.p)["a"]).To(Equal(prepare.Total{SKU: "a", Allocated: 100, Unsold: 100}))
	})

	It("leave an order alone whose id they have", func(ctx SpecContext) {
		real := f.reservation()
		id := f.write(ctx, real)
		f.run()
		f.drained(ctx)
		Expect(f.written(ctx)).To(HaveLen(1))
		cheap := f.reservation()
		cheap.OrderId, cheap.BuyerId, cheap.Items[0].UnitPrice = real.OrderId, real.BuyerId, 1
		f.write(ctx, cheap)
		f.drained(ctx)
		Expect(f.written(ctx)).To(Equal(map[uuid.UUID]string{id: "a"}))
		Eventually(f.dead).WithArguments(ctx).Should(HaveLen(1))
		var total int64
		Expect(f.pool.QueryRow(ctx, "SELECT total FROM orders").Scan(&total)).To(Succeed())
		Expect(total).To(BeEquivalentTo(100))
	})
})
