package flash_test

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/orderd/flash/members"
	flashpod "github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// skewedPool is a pod by itself whose wall clock is off.
func skewedPool(js jetstream.JetStream, skew time.Duration) *flashpod.Pod {
	GinkgoHelper()
	clock := func() time.Time { return time.Now().Add(skew) }
	ids, err := orderid.NewGenerator([]byte("0123456789abcdef"), clock, rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	p, err := flashpod.New(flashpod.Options{
		JetStream: js, Replicas: 1, Name: "pod-a", Advertise: "127.0.0.1:1", Clock: clock,
		Random: mathrand.New(mathrand.NewPCG(1, 2)), OrderIDs: ids, Logger: logger(), Registerer: prometheus.NewRegistry(),
	})
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	DeferCleanup(func() {
		cancel()
		Eventually(done).Should(Receive(BeNil()))
	})
	return p
}

var _ = DescribeTable("A sale's window on a pod whose clock is off",
	func(ctx SpecContext, skew time.Duration, ready bool) {
		js := newJetStream()
		items := []prepare.Item{{SKU: "a", Quantity: 100}}
		p := newPromotion(1, 0, items...)
		start := time.Now().Add(time.Hour)
		p.StartUnixMs, p.EndUnixMs = start.UnixMilli(), start.Add(time.Hour).UnixMilli()
		open(ctx, js, p, items...)
		pool := skewedPool(js, skew)

		var accepted time.Time
		buyers := 0
		ask := func() error {
			buyers++
			_, err := pool.FlashService().PlaceFlashOrder(ctx, request(p, fmt.Sprint("buyer-", buyers), "r", "a", 1))
			accepted = time.Now()
			return err
		}
		Eventually(func() string { return rpcerr.Reason(ask()) }).Should(Equal(rpcerr.ReasonNotStarted))
		p = proto.CloneOf(p)
		start = time.Now().Add(time.Second).Truncate(time.Millisecond)
		p.StartUnixMs = start.UnixMilli()
		Expect(prepare.PutPromotion(ctx, js, p)).To(Succeed())
		Eventually(ask).WithPolling(time.Millisecond).Should(Succeed())
		Expect(accepted).To(BeTemporally(">=", start))
		AddReportEntry(fmt.Sprintf("clock off by %s", skew),
			fmt.Sprintf("the first order %s after the start", accepted.Sub(start).Round(time.Microsecond)),
			ReportEntryVisibilityAlways)
		if ready {
			Eventually(pool.Ready).Should(Succeed())
		} else {
			Eventually(pool.Ready).Should(MatchError(members.ErrSkewed))
		}
		totals := orders(ctx, js, p)
		Expect(totals).To(HaveLen(1))
		for _, reservation := range totals {
			Expect(
				time.UnixMilli(reservation.AcceptedAtUnixMs),
			).To(BeTemporally("~", accepted, 10*time.Second), "orders have the cluster's time")
		}
	},
	Entry("right", time.Duration(0), true),
	Entry("a little off", -200*time.Millisecond, true),
	Entry("an hour fast", time.Hour, false),
	Entry("an hour slow", -time.Hour, false),
)

var _ = Describe("A pod that has never reached the cluster", func() {
	It("is not ready, because it does not know the time", func() {
		server := newServer()
		js := server.JetStream(GinkgoTB())
		server.Stop()
		Consistently(skewedPool(js, 0).Ready).WithTimeout(200 * time.Millisecond).ShouldNot(Succeed())
	})
})
