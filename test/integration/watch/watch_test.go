package watch_test

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	pending   = orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT
	cancelled = orderv1.OrderState_ORDER_STATE_CANCELLED
)

var _ = Describe("Watching one order", func() {
	It("brings it at once, and again when another pod has changed it", func(ctx SpecContext) {
		w := newWorld(ctx, true)
		o := w.place(ctx, w.one, "ann")
		s := w.watchOrder(ctx, w.two, "ann", &orderv1.WatchOrderRequest{OrderId: o.GetOrderId()})
		Expect(proto.Equal(s.order(), o)).To(BeTrue(), "it is what GetOrder answers")
		w.cancel(ctx, w.one, o.GetOrderId())
		changed := s.order()
		Expect(changed.GetState()).To(Equal(cancelled))
		Expect(changed.GetVersion()).To(Equal(o.GetVersion() + 1))

		By("with the version that the caller has, when there is another one only")
		version := proto.Int64(changed.GetVersion())
		same := w.watchOrder(ctx, w.two, "ann", &orderv1.WatchOrderRequest{OrderId: o.GetOrderId(), AfterVersion: version})
		older := w.watchOrder(ctx, w.two, "ann",
			&orderv1.WatchOrderRequest{OrderId: o.GetOrderId(), AfterVersion: proto.Int64(o.GetVersion())})
		Expect(older.order().GetVersion()).To(Equal(*version))
		Expect(same.next().GetOrder()).To(BeNil())
	})

	It("is refused for what is not the caller's", func(ctx SpecContext) {
		w := newWorld(ctx, false)
		o := w.place(ctx, w.one, "ann")
		Expect(w.watchOrder(ctx, w.one, "bob", &orderv1.WatchOrderRequest{OrderId: o.GetOrderId()}).end()).
			To(failWith(connect.CodeNotFound, rpcerr.ReasonOrderNotFound))
		Expect(w.watchOrder(ctx, w.one, "bob", &orderv1.WatchOrderRequest{OrderId: o.GetOrderId(), BuyerId: "ann"}).end()).
			To(failWith(connect.CodePermissionDenied, rpcerr.ReasonOtherBuyer))
		Expect(w.watchOrder(ctx, w.one, "ann", &orderv1.WatchOrderRequest{OrderId: uuid.NewString()}).end()).
			To(failWith(connect.CodeNotFound, rpcerr.ReasonOrderNotFound))
		Expect(w.watchOrder(ctx, w.one, "ann", &orderv1.WatchOrderRequest{OrderId: "x"}).end()).
			To(failWith(connect.CodeInvalidArgument, rpcerr.ReasonInvalidRequest))
	})

	It("goes on after a restart of NATS", func(ctx SpecContext) {
		w := newWorld(ctx, true)
		o, other := w.place(ctx, w.one, "ann"), w.place(ctx, w.one, "ann")
		s := w.watchOrder(ctx, w.two, "ann", &orderv1.WatchOrderRequest{OrderId: o.GetOrderId()})
		Expect(s.order().GetState()).To(Equal(pending))
		all := w.begins(ctx, w.two, "")
		w.NATS.Stop()
		w.cancel(ctx, w.one, o.GetOrderId())
		w.NATS.Restart()
		s.until(cancelled)
		w.cancel(ctx, w.one, other.GetOrderId())
		all.until(o.GetOrderId(), cancelled)
		all.until(other.GetOrderId(), cancelled)
	})

	It("ends with a connection that is as old as it may get, or a pod that goes", func(ctx SpecContext) {
		w := newWorld(ctx, true)
		c := w.Pod()
		c.HTTP.MaxConnectionAge = config.Duration(time.Second)
		old := w.start("standard-2", c)
		o := w.place(ctx, w.one, "ann")
		aged := w.watchOrder(ctx, old, "ann", &orderv1.WatchOrderRequest{OrderId: o.GetOrderId()})
		Expect(aged.order().GetState()).To(Equal(pending))
		err := aged.end()
		Expect(err).To(failWith(connect.CodeUnavailable, rpcerr.ReasonOverloaded))
		_, retried := rpcerr.RetryAfter(err)
		Expect(retried).To(BeTrue())

		left := w.watchOrder(ctx, w.two, "ann", &orderv1.WatchOrderRequest{OrderId: o.GetOrderId()})
		Expect(left.order().GetState()).To(Equal(pending))
		w.two.stop()
		Expect(left.end()).To(failWith(connect.CodeUnavailable, rpcerr.ReasonOverloaded))
	})
})

var _ = Describe("Watching a buyer's orders", func() {
	It("brings every change of them, and none of another's", func(ctx SpecContext) {
		w := newWorld(ctx, true)
		s := w.begins(ctx, w.two, "")
		w.place(ctx, w.one, "bob")
		o := w.place(ctx, w.one, "ann")
		placed := s.order()
		listed := must(w.buyer(w.one, "ann").ListOrders(ctx,
			&orderv1.ListOrdersRequest{View: orderv1.OrderView_ORDER_VIEW_SUMMARY})).GetSummaries()
		Expect(listed).To(HaveLen(1))
		Expect(proto.Equal(placed, listed[0])).To(BeTrue(), "it is what ListOrders answers")
		Expect(placed.GetVersion()).To(Equal(o.GetVersion()))
		w.cancel(ctx, w.one, o.GetOrderId())
		Expect(s.until(o.GetOrderId(), cancelled).GetVersion()).To(Equal(o.GetVersion() + 1))
	})

	It("goes on at another pod, and over the pod's restart, with what changed in between", func(ctx SpecContext) {
		w := newWorld(ctx, true)
		first := w.place(ctx, w.one, "ann")
		s := w.begins(ctx, w.two, "")
		// What was before may come once more.
		second := w.place(ctx, w.one, "ann")
		s.until(second.GetOrderId(), pending)

		By("which its pod does not see")
		w.two.stop()
		Expect(s.end()).To(failWith(connect.CodeUnavailable, rpcerr.ReasonOverloaded))
		w.cancel(ctx, w.one, first.GetOrderId())
		elsewhere := w.begins(ctx, w.one, s.token)
		elsewhere.until(first.GetOrderId(), cancelled)
		w.two = w.start("standard-1", w.two.config)
		again := w.begins(ctx, w.two, s.token)
		again.until(first.GetOrderId(), cancelled)

		By("and nothing if nothing did")
		same := w.begins(ctx, w.two, again.token)
		w.cancel(ctx, w.one, second.GetOrderId())
		Expect(same.order().GetOrderId()).To(Equal(second.GetOrderId()))
	})

	It("is refused with a token that is too old, or none of this shop's", func(ctx SpecContext) {
		w := newWorld(ctx, true)
		o := w.place(ctx, w.one, "ann")
		s := w.begins(ctx, w.one, "")
		w.cancel(ctx, w.one, o.GetOrderId())
		s.until(o.GetOrderId(), cancelled)
		js := w.NATS.JetStream(GinkgoTB())
		Expect(js.DeleteStream(ctx, "ORDER_EVENTS")).To(Succeed())
		Expect(s.end()).To(failWith(connect.CodeUnavailable, rpcerr.ReasonOverloaded))
		// Workers make the stream again, and the pod follows that.
		w.place(ctx, w.one, "ann")
		w.begins(ctx, w.one, "")
		Eventually(func(ctx context.Context) error {
			answers, err := w.buyer(w.one, "ann").WatchOrders(ctx, &orderv1.WatchOrdersRequest{ResumeToken: s.token})
			if err != nil {
				return err
			}
			_, err = answers.Receive()
			return err
		}).WithContext(ctx).Should(failWith(connect.CodeFailedPrecondition, rpcerr.ReasonResumeTooOld))

		broken := w.watchOrders(ctx, w.one, "x").end()
		Expect(broken).To(failWith(connect.CodeInvalidArgument, rpcerr.ReasonInvalidRequest))
		Expect(rpcerr.Metadata(broken)).To(HaveKeyWithValue("field", "resume_token"))
		Expect(w.watchOrders(ctx, w.one, string(make([]byte, 100))).end()).
			To(failWith(connect.CodeInvalidArgument, rpcerr.ReasonInvalidRequest))
	})
})
