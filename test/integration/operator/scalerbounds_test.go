package operator_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	externalscaler "github.com/orderd-dev/orderd/api/gen/externalscaler"
	"github.com/orderd-dev/orderd/operator/scaler"
	"github.com/orderd-dev/orderd/orderd/sale"
)

// toll is a way to a server on which connections are counted.
type toll struct {
	net.Listener
	open atomic.Int32
}

func newToll(ctx context.Context, target string) *toll {
	GinkgoHelper()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	t := &toll{Listener: l}
	DeferCleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go t.pass(conn, target)
		}
	}()
	return t
}

func (t *toll) pass(client net.Conn, target string) {
	t.open.Add(1)
	defer t.open.Add(-1)
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	_, _ = io.Copy(server, client)
}

var _ = Describe("KEDA and JetStream's clock", func() {
	all := map[string]string{"orderCluster": "shop"}

	It("is told nothing until that is known, and goes on by it when NATS is gone", func(ctx SpecContext) {
		w := newWorld(ctx, "", time.Now)
		way := newToll(ctx, strings.TrimPrefix(w.nats.URL(), "nats://"))
		c := makeCluster(w.namespace, "nats://"+way.Addr().String()).Obj()
		Expect(kube.Client.Create(ctx, c)).To(Succeed())
		k := newKEDA(w.standBy(ctx), w.namespace, insecure.NewCredentials())
		Expect(k.active(ctx, all)).To(BeFalse(), "there is no sale, whatever time it is")
		Expect(way.open.Load()).To(BeZero())
		told := k.watch(ctx, all)
		Eventually(told).Should(Receive(BeFalse()))

		Expect(kube.Client.Create(ctx, makePromotion(w.namespace).Window(time.Now(), time.Now().Add(time.Hour)).Obj())).
			To(Succeed())
		Eventually(func() codes.Code {
			_, err := k.active(ctx, all)
			return status.Code(err)
		}).Should(Equal(codes.Unavailable))
		_, err := k.active(ctx, all)
		Expect(status.Convert(err).Message()).To(ContainSubstring("what time it is by JetStream's clock"))
		Consistently(told).WithTimeout(2*time.Second).ShouldNot(Receive(), "what was told last holds")
		_, err = w.js.KeyValue(ctx, sale.AccountBucket)
		Expect(err).To(HaveOccurred(), "who does not lead stamps nothing")

		w.stamp(ctx)
		Eventually(told).Should(Receive(BeTrue()))
		Expect(k.active(ctx, all)).To(BeTrue())
		Expect(way.open.Load()).To(BeEquivalentTo(1))
		w.nats.Stop()
		Eventually(way.open.Load).Should(BeZero())
		Expect(k.active(ctx, all)).To(BeTrue())
		w.nats.Restart()
		Eventually(way.open.Load).Should(BeEquivalentTo(1))

		Expect(kube.Client.Delete(ctx, c)).To(Succeed())
		Eventually(way.open.Load).Should(BeZero(), "nothing is left of an OrderCluster that is gone")
	}, SpecTimeout(3*time.Minute))
})

var _ = DescribeTable("KEDA is refused in words what is too much of", func(ctx SpecContext, secure bool) {
	all := map[string]string{"orderCluster": "shop"}
	w := plainWorld(ctx, "", time.Now)
	Expect(kube.Client.Create(ctx, makeCluster(w.namespace, "nats://nobody:4222").Obj())).To(Succeed())
	dir, transport := shown(secure)
	address := serveScaler(ctx, scaler.Options{CertificateDir: dir, Logger: w.log, MaxConnections: 2, MaxStreams: 2})
	refusal := func(err error) string {
		s := status.Convert(err)
		return s.Code().String() + ": " + s.Message()
	}

	By("connections")
	first, second := newKEDA(address, w.namespace, transport), newKEDA(address, w.namespace, transport)
	for _, k := range []*keda{first, second} {
		Expect(k.active(ctx, all)).To(BeFalse())
	}
	third := newKEDA(address, w.namespace, transport)
	var out externalscaler.GetMetricSpecResponse
	for range 5 {
		_, err := third.active(ctx, all)
		Expect(refusal(err)).To(And(HavePrefix("ResourceExhausted: "), ContainSubstring("there are 2 connections")))
		Expect(refusal(third.ask(ctx, "GetMetricSpec", third.ref(all), &out))).To(HavePrefix("ResourceExhausted: "))
	}
	Expect(first.active(ctx, all)).To(BeFalse(), "the others do not notice")

	By("connections that nothing is said on")
	var mute []net.Conn
	for range 20 {
		conn, err := net.Dial("tcp", address)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = conn.Close() })
		mute = append(mute, conn)
	}
	closed := 0
	for _, conn := range mute {
		Expect(conn.SetReadDeadline(time.Now().Add(2 * time.Second))).To(Succeed())
		var timeout net.Error
		if _, err := io.ReadAll(conn); err == nil || !errors.As(err, &timeout) {
			closed++
		}
	}
	Expect(closed).To(BeNumerically(">=", 18), "two at most are kept beside the two")
	for _, conn := range mute {
		_ = conn.Close()
	}
	Expect(second.Close()).To(Succeed())
	Eventually(func() error {
		_, err := third.active(ctx, all)
		return err
	}).Should(Succeed())

	By("streams")
	stream := func(ctx context.Context) grpc.ClientStream {
		GinkgoHelper()
		s, err := first.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/externalscaler.ExternalScaler/StreamIsActive")
		Expect(err).NotTo(HaveOccurred())
		Expect(s.SendMsg(first.ref(all))).To(Succeed())
		Expect(s.CloseSend()).To(Succeed())
		return s
	}
	var told externalscaler.IsActiveResponse
	brief, cancel := context.WithCancel(ctx)
	defer cancel()
	Expect(stream(ctx).RecvMsg(&told)).To(Succeed())
	Expect(stream(brief).RecvMsg(&told)).To(Succeed())
	Expect(refusal(stream(ctx).RecvMsg(&told))).To(And(HavePrefix("ResourceExhausted: "),
		ContainSubstring("the scaler has 2 streams")))
	Expect(first.active(ctx, all)).To(BeFalse(), "who asks is answered")
	cancel()
	Eventually(func() error { return stream(ctx).RecvMsg(&told) }).Should(Succeed())
},
	Entry("in clear text", false, SpecTimeout(2*time.Minute)),
	Entry("over TLS", true, SpecTimeout(2*time.Minute)),
)
