package returns_test

import (
	"context"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

var _ = Describe("ten at once", func() {
	var w *world
	BeforeEach(func(ctx context.Context) { w = newWorld(ctx) })

	It("ask the same units back: no more than was bought", func(ctx context.Context) {
		id := w.delivered(ctx, testorder.Line{Quantity: 7, UnitPrice: 100})
		made := atOnce(func() error {
			_, err := w.request(ctx, id, withParcel, line(1, 2))
			return err
		}, "NOT_RETURNABLE")
		Expect(made).To(Equal(3))
	})

	It("with one request id ask once", func(ctx context.Context) {
		id := w.delivered(ctx, three)
		req := wanted(id, withParcel, line(1, 3))
		Expect(atOnce(func() error {
			_, err := w.returns.RequestReturn(ctx, req)
			return err
		})).To(Equal(10))
		list, err := w.returns.ListReturns(ctx, &returnsv1.ListReturnsRequest{BuyerId: buyer, OrderId: id.String()})
		Expect(err).NotTo(HaveOccurred())
		Expect(list.GetReturns()).To(HaveLen(1))
	})

	It("refund one return: once", func(ctx context.Context) {
		id := w.delivered(ctx, three)
		rid := w.approved(ctx, id, refundOnly, line(1, 3))
		Expect(atOnce(func() error {
			_, err := w.refund(ctx, rid, nil)
			return err
		}, "RETURN_STATE_CONFLICT")).To(Equal(1))
		Expect(w.refunds(ctx, id)).To(Equal(int64(287)))
	})

	It("refund, ship and cancel the same order: what was paid is refunded at most once", func(ctx context.Context) {
		for range 5 {
			id := w.paid(ctx, three, three)
			var asked []string
			for n := range int64(2) {
				for range 3 {
					asked = append(asked, w.approved(ctx, id, refundOnly, line(n+1, 1)))
				}
			}
			var wg sync.WaitGroup
			for _, rid := range asked {
				wg.Go(func() {
					defer GinkgoRecover()
					_, err := w.refund(ctx, rid, nil)
					Expect(rpcerr.Reason(err)).To(BeElementOf("", "ALREADY_SHIPPED", "ORDER_STATE_CONFLICT", "ORDER_BUSY"))
				})
			}
			wg.Go(func() {
				defer GinkgoRecover()
				err := w.shop.Cancel(ctx, buyer, id)
				Expect(rpcerr.Reason(err)).To(BeElementOf("", "ORDER_STATE_CONFLICT"))
			})
			wg.Go(func() {
				defer GinkgoRecover()
				w.told(ctx, id, shipmentv1.ShipmentEventCode_SHIPMENT_EVENT_CODE_COLLECTED)
			})
			wg.Wait()
			o := w.order(ctx, id)
			var granted int64
			for _, l := range o.Lines {
				granted += l.RefundGranted
				Expect(l.Returned).To(BeNumerically("<=", l.Quantity))
				Expect(l.Shipped + l.Shipping + l.Withdrawn).To(BeNumerically("<=", l.Quantity))
			}
			Expect(granted).To(Equal(w.refunds(ctx, id)))
			Expect(granted).To(BeNumerically("<=", o.Total))
			if o.State == order.Cancelled {
				Expect(granted).To(Equal(o.Total))
			}
		}
	})
})

// atOnce does it ten times at the same time and returns how often it succeeded; otherwise it is
// refused with one of the reasons.
func atOnce(do func() error, reasons ...string) int {
	GinkgoHelper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range 10 {
		wg.Go(func() {
			defer GinkgoRecover()
			err := do()
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				done++
				return
			}
			Expect(rpcerr.Reason(err)).To(BeElementOf(reasons))
		})
	}
	wg.Wait()
	return done
}
