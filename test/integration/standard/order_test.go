package standard_test

import (
	"context"
	"fmt"
	"sync"

	"connectrpc.com/connect/v2"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

var _ = Describe("Placing an order", func() {
	It("reserves the stock of every line and records the order with its history and event", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 10)
		s.sell(ctx, "cup", 3)
		o := s.place(ctx, "ann", "tea", 2, "cup", 3)
		Expect(o.GetState()).To(Equal(orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT))
		Expect(o.GetTotal().GetAmount()).To(Equal(int64(5 * 250)))
		Expect(o.GetLines()).To(HaveLen(2))
		Expect(o.GetLines()[0].GetTitle()).To(Equal("A tea"))
		Expect(o.GetExpiresAt().AsTime()).To(Equal(o.GetCreatedAt().AsTime().Add(paymentTimeout)))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 8, Reserved: 2}))
		Expect(s.levels(ctx, "cup")).To(Equal(stock.Levels{Reserved: 3}))
		read, err := s.clients.orders.GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: "ann", OrderId: o.GetOrderId()})
		Expect(err).NotTo(HaveOccurred())
		Expect(proto.Equal(read.GetOrder(), o)).To(BeTrue(), "%v is not %v", read.GetOrder(), o)
		Expect(s.count(ctx, "order_history", "order_id = $1 AND event = 'place'", o.GetOrderId())).To(Equal(int64(1)))
		Expect(s.count(ctx, "outbox", "order_id = $1 AND event = 'placed'", o.GetOrderId())).To(Equal(int64(1)))
	})

	It(
		"answers a retry as the first time, whatever has changed since, and refuses another body",
		func(ctx context.Context) {
			s := newShop(podOptions{})
			s.sell(ctx, "tea", 3)
			req := &orderv1.PlaceOrderRequest{RequestId: "once", BuyerId: "ann", Lines: lines("tea", 3)}
			first, err := s.clients.orders.PlaceOrder(ctx, req)
			Expect(err).NotTo(HaveOccurred())
			_, err = s.catalog.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{
				Sku: &catalogv1.Sku{Sku: "tea", Title: "Gone", Price: &moneyv1.Money{Amount: 1, Currency: "CNY"}},
			})
			Expect(err).NotTo(HaveOccurred())
			again, err := s.clients.orders.PlaceOrder(ctx, req)
			Expect(err).NotTo(HaveOccurred())
			Expect(proto.Equal(first, again)).To(BeTrue())
			_, err = s.clients.orders.PlaceOrder(ctx,
				&orderv1.PlaceOrderRequest{RequestId: "once", BuyerId: "ann", Lines: lines("tea", 2)})
			Expect(err).To(failWith(connect.CodeAlreadyExists, "REQUEST_ID_REUSED"))
			_, err = s.clients.orders.CancelOrder(ctx,
				&orderv1.CancelOrderRequest{RequestId: "once", BuyerId: "ann", OrderId: first.GetOrder().GetOrderId()})
			Expect(err).To(failWith(connect.CodeAlreadyExists, "REQUEST_ID_REUSED"))
			Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Reserved: 3}))
		},
	)

	It("makes one order of many copies of a request that come at once", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 1)
		req := &orderv1.PlaceOrderRequest{RequestId: "once", BuyerId: "ann", Lines: lines("tea", 1)}
		var ids sync.Map
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				defer GinkgoRecover()
				answer, err := s.clients.orders.PlaceOrder(ctx, req)
				Expect(err).NotTo(HaveOccurred())
				ids.Store(answer.GetOrder().GetOrderId(), true)
			})
		}
		wg.Wait()
		var seen []any
		ids.Range(func(id, _ any) bool { seen = append(seen, id); return true })
		Expect(seen).To(HaveLen(1))
	})

	It("never oversells the last units", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 7)
		var wg sync.WaitGroup
		var mu sync.Mutex
		placed := 0
		for i := range 40 {
			wg.Go(func() {
				defer GinkgoRecover()
				_, err := s.clients.orders.PlaceOrder(ctx,
					&orderv1.PlaceOrderRequest{RequestId: "r", BuyerId: fmt.Sprintf("b%d", i), Lines: lines("tea", 1)})
				if err != nil {
					Expect(err).To(failWith(connect.CodeResourceExhausted, "INSUFFICIENT_STOCK"))
					return
				}
				mu.Lock()
				defer mu.Unlock()
				placed++
			})
		}
		wg.Wait()
		Expect(placed).To(Equal(7))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Reserved: 7}))
		Expect(s.count(ctx, "orders", "true")).To(Equal(int64(7)))
	})

	It("changes nothing when it refuses", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		s.sell(ctx, "cup", 1)
		for sku, price := range map[string]*moneyv1.Money{
			"off": {Amount: 1, Currency: "CNY"}, "dollars": {Amount: 1, Currency: "USD"},
		} {
			_, err := s.catalog.UpsertSku(ctx,
				&catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{Sku: sku, Title: sku, Price: price, OnSale: sku != "off"}})
			Expect(err).NotTo(HaveOccurred())
		}
		place := func(l ...any) error {
			_, err := s.clients.orders.PlaceOrder(ctx,
				&orderv1.PlaceOrderRequest{RequestId: "same", BuyerId: "ann", Lines: lines(l...)})
			return err
		}
		Expect(place("tea", 1, "ghost", 1)).To(failWith(connect.CodeNotFound, "SKU_NOT_FOUND"))
		Expect(place("tea", 1, "off", 1)).To(failWith(connect.CodeFailedPrecondition, "SKU_NOT_ON_SALE"))
		Expect(place("tea", 1, "dollars", 1)).To(failWith(connect.CodeFailedPrecondition, "CURRENCY_MISMATCH"))
		Expect(place("tea", 1, "cup", 2)).To(failWith(connect.CodeResourceExhausted, "INSUFFICIENT_STOCK"))
		for field, err := range map[string]error{
			"lines":    place(),
			"quantity": place("tea", 0),
			"one line": place("tea", 1, "tea", 1),
		} {
			Expect(connect.CodeOf(err)).To(Equal(connect.CodeInvalidArgument), field)
			Expect(err.Error()).To(ContainSubstring(field))
		}
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 5}))
		for _, table := range []string{"orders", "order_lines", "order_history", "outbox"} {
			Expect(s.count(ctx, table, "true")).To(BeZero(), table)
		}
		By("and the request id is still free")
		Expect(place("tea", 1)).To(Succeed())
	})

	It("is answered with the same order when the pod died between commit and answer", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		dying := startChild(childDiesAfterPlacing, s.databaseURL, "")
		req := &orderv1.PlaceOrderRequest{RequestId: "once", BuyerId: "ann", Lines: lines("tea", 2)}
		_, err := clientsOf(dying.url).orders.PlaceOrder(ctx, req)
		Expect(err).To(HaveOccurred())
		dying.killed()
		var id string
		Expect(s.pool.QueryRow(ctx, "SELECT order_id::text FROM orders").Scan(&id)).To(Succeed())
		answer, err := s.clients.orders.PlaceOrder(ctx, req)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.GetOrder().GetOrderId()).To(Equal(id))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 3, Reserved: 2}))
	})
})

var _ = Describe("Reading orders", func() {
	It("shows a buyer their own only", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		o := s.place(ctx, "ann", "tea", 1)
		for _, req := range []*orderv1.GetOrderRequest{
			{BuyerId: "bob", OrderId: o.GetOrderId()},
			{BuyerId: "ann", OrderId: "00000000-0000-4000-8000-000000000000"},
		} {
			_, err := s.clients.orders.GetOrder(ctx, req)
			Expect(err).To(failWith(connect.CodeNotFound, "ORDER_NOT_FOUND"))
		}
		_, err := s.clients.orders.GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: "ann", OrderId: "7"})
		Expect(connect.CodeOf(err)).To(Equal(connect.CodeInvalidArgument))
		answer, err := s.clients.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{BuyerId: "bob"})
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.GetOrders()).To(BeEmpty())
	})

	It("lists and counts a buyer's orders by group", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		unpaid, paid, cancelled := s.place(ctx, "ann", "tea", 1), s.place(ctx, "ann", "tea", 2), s.place(ctx, "ann", "tea", 1)
		Expect(pay(ctx, s.charge(ctx, paid).GetRedirectUrl())).To(Equal(200))
		s.cancel(ctx, cancelled)
		s.place(ctx, "bob", "tea", 1)
		for group, want := range map[orderv1.OrderGroup]*orderv1.Order{
			orderv1.OrderGroup_ORDER_GROUP_TO_PAY:  unpaid,
			orderv1.OrderGroup_ORDER_GROUP_TO_SHIP: paid,
			orderv1.OrderGroup_ORDER_GROUP_CLOSED:  cancelled,
		} {
			answer, err := s.clients.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{
				BuyerId: "ann", Group: group, View: orderv1.OrderView_ORDER_VIEW_SUMMARY,
			})
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.GetSummaries()).To(HaveLen(1), group.String())
			Expect(answer.GetSummaries()[0].GetOrderId()).To(Equal(want.GetOrderId()), group.String())
		}
		counted, err := s.clients.orders.CountOrders(ctx, &orderv1.CountOrdersRequest{BuyerId: "ann"})
		Expect(err).NotTo(HaveOccurred())
		var counts []int32
		for _, c := range counted.GetCounts() {
			counts = append(counts, c.GetOrders())
		}
		Expect(counts).To(Equal([]int32{1, 1, 0, 0, 1}))
		Expect(counted.GetMore()).To(BeFalse())
		_, err = s.clients.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{BuyerId: "ann", Group: 99})
		Expect(connect.CodeOf(err)).To(Equal(connect.CodeInvalidArgument))
	})

	It("pages newest first, without gaps while orders come in", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 100)
		var want []string
		for range 25 {
			o := s.place(ctx, "ann", "tea", 1)
			s.place(ctx, "bob", "tea", 1)
			s.clock.advance(1e6)
			want = append([]string{o.GetOrderId()}, want...)
		}
		var got []string
		token, pages := "", 0
		for {
			answer, err := s.clients.orders.ListOrders(ctx,
				&orderv1.ListOrdersRequest{BuyerId: "ann", PageSize: 10, PageToken: token})
			Expect(err).NotTo(HaveOccurred())
			for _, o := range answer.GetOrders() {
				Expect(o.GetLines()).To(HaveLen(1))
				got = append(got, o.GetOrderId())
			}
			pages++
			s.clock.advance(1e6)
			s.place(ctx, "ann", "tea", 1)
			if token = answer.GetNextPageToken(); token == "" {
				break
			}
			_, err = s.clients.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{BuyerId: "bob", PageToken: token})
			Expect(err).To(failWith(connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN"))
		}
		Expect(got).To(Equal(want))
		Expect(pages).To(Equal(3))
		_, err := s.clients.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{BuyerId: "ann", PageToken: "x"})
		Expect(err).To(failWith(connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN"))
	})
})

var _ = Describe("Cancelling an order", func() {
	It("releases the stock once, however often it is asked for", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		o := s.place(ctx, "ann", "tea", 2)
		req := &orderv1.CancelOrderRequest{RequestId: "c", BuyerId: "ann", OrderId: o.GetOrderId()}
		first, err := s.clients.orders.CancelOrder(ctx, req)
		Expect(err).NotTo(HaveOccurred())
		Expect(first.GetOrder().GetState()).To(Equal(orderv1.OrderState_ORDER_STATE_CANCELLED))
		Expect(first.GetOrder().GetCancelReason()).To(Equal("BUYER"))
		for _, id := range []string{"c", "another"} {
			req.RequestId = id
			again, err := s.clients.orders.CancelOrder(ctx, req)
			Expect(err).NotTo(HaveOccurred())
			Expect(proto.Equal(first, again)).To(BeTrue(), id)
		}
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 5}))
		Expect(s.count(ctx, "order_history", "event = 'cancel'")).To(Equal(int64(1)))
		other := s.place(ctx, "ann", "tea", 1)
		_, err = s.clients.orders.CancelOrder(ctx,
			&orderv1.CancelOrderRequest{RequestId: "c", BuyerId: "ann", OrderId: other.GetOrderId()})
		Expect(err).To(failWith(connect.CodeAlreadyExists, "REQUEST_ID_REUSED"))
	})

	It("gives money and stock of a paid order back, once", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		o := s.place(ctx, "ann", "tea", 2)
		Expect(pay(ctx, s.charge(ctx, o).GetRedirectUrl())).To(Equal(200))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 3, Deducted: 2}))
		for _, id := range []string{"c", "c", "another"} {
			answer, err := s.clients.orders.CancelOrder(ctx,
				&orderv1.CancelOrderRequest{RequestId: id, BuyerId: "ann", OrderId: o.GetOrderId()})
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.GetOrder().GetState()).To(Equal(orderv1.OrderState_ORDER_STATE_CANCELLED))
			Expect(answer.GetOrder().GetRefundStatus()).To(Equal(orderv1.RefundStatus_REFUND_STATUS_PENDING))
		}
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 5}))
		Expect(s.count(ctx, "refunds", "order_id = $1 AND amount = 500", o.GetOrderId())).To(Equal(int64(1)))
		answer, err := s.clients.orders.GetOrderHistory(ctx,
			&orderv1.GetOrderHistoryRequest{BuyerId: "ann", OrderId: o.GetOrderId()})
		Expect(err).NotTo(HaveOccurred())
		var events []string
		for _, c := range answer.GetChanges() {
			events = append(events, c.GetEvent())
		}
		Expect(events).To(Equal([]string{"place", "pay", "grant_refund", "cancel"}))
	})

	It("refuses one of somebody else", func(ctx context.Context) {
		s := newShop(podOptions{})
		s.sell(ctx, "tea", 5)
		o := s.place(ctx, "ann", "tea", 2)
		_, err := s.clients.orders.CancelOrder(ctx,
			&orderv1.CancelOrderRequest{RequestId: "x", BuyerId: "bob", OrderId: o.GetOrderId()})
		Expect(err).To(failWith(connect.CodeNotFound, "ORDER_NOT_FOUND"))
		Expect(s.levels(ctx, "tea")).To(Equal(stock.Levels{Available: 3, Reserved: 2}))
	})
})
