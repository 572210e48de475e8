package standard_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

func (s *shop) relay(js jetstream.JetStream, name string) *outbox.Relay {
	GinkgoHelper()
	r, err := outbox.NewRelay(outbox.RelayOptions{
		Pool: s.pool, JetStream: js, Replicas: 1, Source: merchant, Worker: name,
		Interval: 20 * time.Millisecond, TTL: 2 * time.Second, Clock: s.clock.now, Logger: slog.New(slog.DiscardHandler),
	})
	Expect(err).NotTo(HaveOccurred())
	return r
}

// events are what the stream has, in its order.
func events(ctx context.Context, js jetstream.JetStream) []*jetstream.RawStreamMsg {
	GinkgoHelper()
	stream, err := js.Stream(ctx, outbox.Stream)
	Expect(err).NotTo(HaveOccurred())
	info, err := stream.Info(ctx)
	Expect(err).NotTo(HaveOccurred())
	var out []*jetstream.RawStreamMsg
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		msg, err := stream.GetMsg(ctx, seq)
		Expect(err).NotTo(HaveOccurred())
		out = append(out, msg)
	}
	return out
}

func (s *shop) drained(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() int64 { return s.count(ctx, "outbox", "true") }).WithTimeout(patience).Should(BeZero())
}

var _ = Describe("The outbox", func() {
	It("publishes each change once as a CloudEvent, in order per order", func(ctx context.Context) {
		s := newShop(podOptions{})
		js := testnats.Run(GinkgoTB()).JetStream(GinkgoTB())
		s.sell(ctx, "tea", 100)
		run(s.relay(js, "one"))
		run(s.relay(js, "two"))
		for range 10 {
			o := s.place(ctx, "ann", "tea", 1)
			Expect(pay(ctx, s.charge(ctx, o).GetRedirectUrl())).To(Equal(200))
		}
		gone := s.place(ctx, "bob", "tea", 1)
		s.cancel(ctx, gone)
		s.drained(ctx)
		names := map[string][]string{}
		for _, e := range events(ctx, js) {
			id := e.Header.Get("ce-subject")
			names[id] = append(names[id], e.Header.Get("ce-type"))
		}
		Expect(names).To(HaveLen(11))
		for id, types := range names {
			second := "orderd.order.v1.OrderPaid"
			if id == gone.GetOrderId() {
				second = "orderd.order.v1.OrderCancelled"
			}
			Expect(types).To(Equal([]string{"orderd.order.v1.OrderPlaced", second}))
		}
	})

	It("says in an event what its headers promise", func(ctx context.Context) {
		s := newShop(podOptions{})
		js := testnats.Run(GinkgoTB()).JetStream(GinkgoTB())
		s.sell(ctx, "tea", 100)
		o := s.place(ctx, "ann", "tea", 2)
		run(s.relay(js, "one"))
		s.drained(ctx)
		published := events(ctx, js)
		Expect(published).To(HaveLen(1))
		e := published[0]
		Expect(e.Subject).To(Equal("order.events.placed." + o.GetOrderId()))
		Expect(e.Header.Get("Nats-Msg-Id")).To(Equal(o.GetOrderId() + ".1"))
		for name, want := range map[string]string{
			"ce-specversion": "1.0", "ce-id": o.GetOrderId() + ".1", "ce-source": merchant, "ce-subject": o.GetOrderId(),
			"ce-type": "orderd.order.v1.OrderPlaced", "ce-datacontenttype": "application/protobuf",
			"ce-time": o.GetCreatedAt().AsTime().Format(time.RFC3339Nano),
		} {
			Expect(e.Header.Get(name)).To(Equal(want), name)
		}
		var placed orderv1.OrderPlaced
		Expect(proto.Unmarshal(e.Data, &placed)).To(Succeed())
		Expect(proto.Equal(placed.GetOrder(), o)).To(BeTrue())
	})

	It("publishes no duplicate after a relay died between publishing and deleting", func(ctx context.Context) {
		s := newShop(podOptions{})
		server := testnats.Run(GinkgoTB())
		js := server.JetStream(GinkgoTB())
		s.sell(ctx, "tea", 100)
		o := s.place(ctx, "ann", "tea", 2)
		charged := s.charge(ctx, o)
		s.cancel(ctx, o)
		startChild(childDiesAfterPublishing, s.databaseURL, server.URL()).killed()
		Expect(events(ctx, js)).To(HaveLen(2))
		Expect(s.count(ctx, "outbox", "true")).To(Equal(int64(2)), "nothing was deleted")
		By("with a later event of the same order beside them")
		n := s.notification(charged.GetPayment())
		Expect(s.send(ctx, s.url, n)).To(Equal(204))
		run(s.relay(js, "next"))
		s.drained(ctx)
		published := events(ctx, js)
		Expect(published).To(HaveLen(3))
		for i, e := range published {
			Expect(e.Header.Get("ce-id")).To(Equal(fmt.Sprintf("%s.%d", o.GetOrderId(), i+1)))
		}
	})

	It("waits for JetStream while that is away", func(ctx context.Context) {
		s := newShop(podOptions{})
		server := testnats.Run(GinkgoTB())
		js := server.JetStream(GinkgoTB())
		s.sell(ctx, "tea", 100)
		run(s.relay(js, "one"))
		s.place(ctx, "ann", "tea", 2)
		s.drained(ctx)
		server.Stop()
		s.place(ctx, "ann", "tea", 1)
		Consistently(
			func() int64 { return s.count(ctx, "outbox", "true") },
		).WithTimeout(300 * time.Millisecond).Should(Equal(int64(1)))
		server.Restart()
		s.drained(ctx)
		Expect(events(ctx, js)).To(HaveLen(2))
	})
})
