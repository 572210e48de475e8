package flash_test

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
)

// accepting counts the connections that it accepts.
type accepting struct {
	net.Listener
	connections atomic.Int64
}

func (a *accepting) Accept() (net.Conn, error) {
	conn, err := a.Listener.Accept()
	if err == nil {
		a.connections.Add(1)
	}
	return conn, err
}

var _ = Describe("Pods with IPv6 addresses", func() {
	It("reach each other", func(ctx SpecContext) {
		items := []prepare.Item{{SKU: "a", Quantity: 1000}}
		js := newServer().JetStream(GinkgoTB())
		p := newPromotion(8, 0, items...)
		open(ctx, js, p, items...)
		var pods []*pod
		var listeners []*accepting
		for _, name := range []string{"pod-a", "pod-b"} {
			listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "[::1]:0")
			if err != nil {
				Skip("this machine has no ::1: " + err.Error())
			}
			accepts := &accepting{Listener: listener}
			started, err := runPodOn(accepts, js, name, time.Now, nil, logger())
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { started.stop() })
			Expect(started.address).To(HavePrefix("[::1]:"))
			pods, listeners = append(pods, started), append(listeners, accepts)
		}
		agree(ctx, p, pods...)
		requests := make([]*flashv1.PlaceFlashOrderRequest, 200)
		for i := range requests {
			requests[i] = request(p, fmt.Sprint("buyer-", i), "r", "a", 1)
		}
		// All come by one pod: half of the partitions are the other's.
		for key, got := range buyAll(ctx, []*streamclient.Stream{backend(pods[0].address)}, requests) {
			Expect(got.reason).To(BeEmpty(), key)
		}
		Expect(orders(ctx, js, p)).To(HaveLen(len(requests)))
		Expect(listeners[1].connections.Load()).NotTo(BeZero(), "the first pod asked the second")
	}, SpecTimeout(2*time.Minute))
})
