package standard_test

import (
	"context"

	"connectrpc.com/connect/v2"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

var _ = Describe("A database that does not answer", func() {
	It("makes an error to retry, and a retry finds the order if there is one", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		through := newProxy(s.databaseURL)
		behind, err := startPod(through.url, podOptions{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(behind.stop)
		api := clientsOf(behind.url)
		// COMMIT decides on PostgreSQL, the RELEASE before it on CockroachDB. At either the outcome
		// is unknown. The statement's end tells it from BEGIN … READ COMMITTED.
		for request, lost := range map[string]string{"at commit": "commit\x00", "at release": "release savepoint"} {
			req := &orderv1.PlaceOrderRequest{RequestId: request, BuyerId: "ann", Lines: lines("tea", 1)}
			through.losing(lost)
			_, err = api.orders.PlaceOrder(ctx, req)
			Expect(err).To(failWith(connect.CodeUnavailable, "DATABASE_UNAVAILABLE"), lost)
			_, ok := rpcerr.RetryAfter(err)
			Expect(ok).To(BeTrue())
			Expect(err.Error()).NotTo(ContainSubstring("127.0.0.1"))
			first, err := api.orders.PlaceOrder(ctx, req)
			Expect(err).NotTo(HaveOccurred())
			again, err := api.orders.PlaceOrder(ctx, req)
			Expect(err).NotTo(HaveOccurred())
			Expect(again.GetOrder().GetOrderId()).To(Equal(first.GetOrder().GetOrderId()))
		}
		Expect(s.count(ctx, "orders", "true")).To(Equal(int64(2)))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 3, Reserved: 2}))
		through.cut()
		_, err = api.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{BuyerId: "ann"})
		Expect(err).To(failWith(connect.CodeUnavailable, "DATABASE_UNAVAILABLE"))
		through.mend()
		_, err = api.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{BuyerId: "ann"})
		Expect(err).NotTo(HaveOccurred())
	})
})
