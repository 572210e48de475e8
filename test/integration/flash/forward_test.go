package flash_test

import (
	"context"
	"fmt"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	flashpod "github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

var _ = Describe("Forwarding between pods", func() {
	var (
		server *testnats.Server
		js     jetstream.JetStream
		p      *flashv1.Promotion
	)
	items := []prepare.Item{{SKU: "a", Quantity: 5000}}

	BeforeEach(func(ctx SpecContext) {
		server = newServer()
		js = server.JetStream(GinkgoTB())
		p = newPromotion(8, 0, items...)
		open(ctx, js, p, items...)
	})

	many := func(count int) []*flashv1.PlaceFlashOrderRequest {
		requests := make([]*flashv1.PlaceFlashOrderRequest, count)
		for i := range requests {
			requests[i] = request(p, fmt.Sprint("buyer-", i), "r", "a", 1)
		}
		return requests
	}

	// startChild runs a pod in a process of its own, and waits until it has partitions.
	startChild := func(ctx context.Context) *exec.Cmd {
		child := childCommand(ctx, childPod, server.URL(), p, "")
		Expect(child.Start()).To(Succeed())
		DeferCleanup(func() {
			_ = child.Process.Kill()
			_ = child.Wait()
		})
		Eventually(isMember).WithArguments(ctx, js, "pod-child").Should(BeTrue())
		return child
	}

	// expectAll waits until every request has its one order, whatever became of it before.
	expectAll := func(ctx context.Context, a *pod, requests []*flashv1.PlaceFlashOrderRequest, before map[string]outcome) {
		GinkgoHelper()
		answers := buyAll(ctx, []*streamclient.Stream{backend(a.address)}, requests)
		inLog := orders(ctx, js, p)
		Expect(inLog).To(HaveLen(len(requests)))
		for key, got := range answers {
			Expect(orderIDOf(inLog[key])).To(Equal(got.order), key)
			if earlier := before[key]; earlier.order != "" {
				Expect(got.order).To(Equal(earlier.order), key)
			}
		}
		Expect(sales(ctx, js, p)["a"].Sold).To(BeEquivalentTo(len(requests)))
	}

	DescribeTable("of requests in flight to a pod that goes",
		func(ctx SpecContext, signal syscall.Signal) {
			child := startChild(ctx)
			a := startPod(js, "pod-a", nil)
			ready(a)
			requests := many(3000)
			answers := make(map[string]outcome, len(requests))
			stream := backend(a.address)
			first := placedAll(ctx, stream, requests[:1000])
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				_ = child.Process.Signal(signal)
			}()
			second := placedAll(ctx, stream, requests[1000:])
			<-gone
			for i, got := range append(first, second...) {
				// Nobody hears anything but an order or that it is open.
				if got.order == "" {
					Expect(got.reason).To(Equal(rpcerr.ReasonPartitionMoving))
				}
				answers[requests[i].BuyerId+"/"+requests[i].RequestId] = got
			}
			Eventually(isMember).WithArguments(ctx, js, "pod-child").Should(BeFalse())
			if signal == syscall.SIGSTOP {
				Expect(child.Process.Signal(syscall.SIGCONT)).To(Succeed())
			}
			expectAll(ctx, a, requests, answers)
		},
		Entry("by a kill", syscall.SIGKILL),
		Entry("by a pause for longer than its membership lasts", syscall.SIGSTOP),
	)

	It("asks once more where the first guess was wrong", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		ready(pods...)
		// While members come and go, pods disagree for moments; none of it is a
		// refusal but "try again".
		requests := many(2000)
		var done atomic.Bool
		moving := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(moving)
			for i := 0; !done.Load(); i++ {
				extra := startPod(js, fmt.Sprint("pod-x", i), nil)
				Eventually(extra.Ready).Should(Succeed())
				extra.Drain(ctx)
				extra.stop()
			}
		}()
		answers := buyAll(ctx, []*streamclient.Stream{backend(pods[0].address), backend(pods[1].address)}, requests)
		done.Store(true)
		<-moving
		Expect(answers).To(HaveLen(len(requests)))
		Expect(orders(ctx, js, p)).To(HaveLen(len(requests)))
	})

	It("goes on through a drain without refusing anybody on the stream", func(ctx SpecContext) {
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		ready(pods...)
		stream := backend(pods[0].address)
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			pods[0].Drain(ctx)
		}()
		answers := buyAll(ctx, []*streamclient.Stream{stream}, many(3000))
		<-drained
		Expect(answers).To(HaveLen(3000))
		Expect(orders(ctx, js, p)).To(HaveLen(3000))
	})

	It("does not make one peer's trouble another's", func(ctx SpecContext) {
		stuck := make(chan struct{})
		DeferCleanup(func() { close(stuck) })
		slow := startPod(js, "pod-slow", func(log plog.Log) plog.Log {
			return &wrappedLog{log, func(ctx context.Context, log plog.Log, entry plog.Entry) (uint64, error) {
				if reserves(entry) {
					select {
					case <-stuck:
					case <-ctx.Done():
					}
				}
				return log.Append(ctx, entry)
			}}
		})
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil)}
		agree(ctx, p, slow, pods[0], pods[1])
		accepted := 0
		started := time.Now()
		for _, got := range placedAll(ctx, backend(pods[0].address), many(600)) {
			if got.order != "" {
				accepted++
			} else {
				Expect(got.reason).To(Equal(rpcerr.ReasonPartitionMoving))
			}
		}
		Expect(accepted).To(And(BeNumerically(">", 200), BeNumerically("<", 600)))
		Expect(time.Since(started)).To(BeNumerically("<", 10*time.Second))
		got := insist(ctx, func(int) *flashpod.Service { return pods[1].Service },
			request(p, ownedBy(ctx, pods[1], p), "late", "a", 1))
		Expect(got.order).NotTo(BeEmpty())
	})
})

// ownedBy is a buyer whom a pod can serve now.
func ownedBy(ctx context.Context, a *pod, p *flashv1.Promotion) string {
	GinkgoHelper()
	for i := range 64 {
		try, cancel := context.WithTimeout(ctx, time.Second)
		buyer := fmt.Sprint("someone-", i)
		_, err := a.PlaceFlashOrder(try, request(p, buyer, "early", "a", 1))
		cancel()
		if err == nil {
			return buyer
		}
	}
	Fail("the pod serves nobody")
	return ""
}
