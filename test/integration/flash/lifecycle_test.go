package flash_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	flashpod "github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
)

// gaps asks for an order of a new buyer of each partition, again and again until stop, and keeps
// the longest time that a partition's buyers waited for one.
type gaps struct {
	longest atomic.Int64
	tries   atomic.Int64
	// served counts each partition's orders.
	served []atomic.Int64
	stop   context.CancelFunc
	group  sync.WaitGroup
}

// watchGaps through the pods that serve returns.
func watchGaps(ctx context.Context, p *flashv1.Promotion, serve func(attempt int) *flashpod.Service) *gaps {
	ctx, cancel := context.WithCancel(ctx)
	g := &gaps{stop: cancel, served: make([]atomic.Int64, p.Partitions)}
	for n := range p.Partitions {
		g.group.Go(func() {
			defer GinkgoRecover()
			for i := 0; ctx.Err() == nil; i++ {
				began := time.Now()
				attempts := int64(0)
				got := insist(ctx, func(attempt int) *flashpod.Service {
					attempts++
					return serve(i + attempt)
				}, request(p, buyerOf(n, p.Partitions, i), "r", "a", 1))
				if ctx.Err() != nil {
					return
				}
				Expect(got.order).NotTo(BeEmpty(), got.reason)
				g.longest.Store(max(g.longest.Load(), int64(time.Since(began))))
				g.tries.Store(max(g.tries.Load(), attempts))
				g.served[n].Add(1)
			}
		})
	}
	return g
}

// goesOn waits until every partition has served two buyers from now on: the second came later.
func (g *gaps) goesOn() {
	GinkgoHelper()
	for n := range g.served {
		from := g.served[n].Load()
		Eventually(g.served[n].Load).Should(BeNumerically(">=", from+2), fmt.Sprint("partition ", n))
	}
}

func (g *gaps) end() (longest time.Duration, tries int64) {
	g.stop()
	g.group.Wait()
	return time.Duration(g.longest.Load()), g.tries.Load()
}

var _ = Describe("A partition's owner that goes", func() {
	It("is replaced soon when it is killed, and at once when it leaves", func(ctx SpecContext) {
		server := newServer()
		js := server.JetStream(GinkgoTB())
		items := []prepare.Item{{SKU: "a", Quantity: 1_000_000}}
		p := newPromotion(6, 0, items...)
		open(ctx, js, p, items...)
		pods := []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil), startPod(js, "pod-c", nil)}
		ready(pods...)

		g := watchGaps(ctx, p, func(attempt int) *flashpod.Service { return pods[attempt%2].Service })
		g.goesOn()
		pods[2].stop()
		g.goesOn()
		longest, _ := g.end()
		AddReportEntry("killed", fmt.Sprintf("a buyer waited %s at most", longest.Round(time.Millisecond)),
			ReportEntryVisibilityAlways)

		g = watchGaps(ctx, p, func(int) *flashpod.Service { return pods[0].Service })
		g.goesOn()
		pods[1].Drain(ctx)
		g.goesOn()
		longest, tries := g.end()
		AddReportEntry("left",
			fmt.Sprintf("a buyer waited %s and asked %d times at most", longest.Round(time.Millisecond), tries),
			ReportEntryVisibilityAlways)
	})
})

// counter is a log that counts how often its message was written.
type counter struct {
	slog.Handler
	message string
	count   *atomic.Int64
}

func (c counter) Handle(ctx context.Context, record slog.Record) error {
	if record.Message == c.message {
		c.count.Add(1)
	}
	return c.Handler.Handle(ctx, record)
}

func (c counter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return counter{c.Handler.WithAttrs(attrs), c.message, c.count}
}

var _ = Describe("Servers that are away for longer than a pod may be", func() {
	It("cost no pod its partitions", func(ctx SpecContext) {
		server := newServer()
		js := server.JetStream(GinkgoTB())
		items := []prepare.Item{{SKU: "a", Quantity: 1000}}
		p := newPromotion(6, 0, items...)
		open(ctx, js, p, items...)
		var changes atomic.Int64
		names := []string{"pod-a", "pod-b", "pod-c"}
		var pods []*pod
		for _, name := range names {
			pod, err := runPod(js, name, nil, slog.New(counter{logger().Handler(), "members changed", &changes}))
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { pod.stop() })
			pods = append(pods, pod)
		}
		for _, name := range names {
			Eventually(isMember).WithArguments(ctx, js, name).Should(BeTrue())
		}
		ready(pods...)
		settled := int64(-1)
		Eventually(func() bool {
			before := settled
			settled = changes.Load()
			return before == settled
		}).WithPolling(500 * time.Millisecond).Should(BeTrue())

		server.Stop()
		Consistently(changes.Load).WithTimeout(2*prepare.MemberTTL + time.Second).Should(Equal(settled))
		server.Restart()
		for _, name := range names {
			Eventually(func() bool {
				member, err := isMember(ctx, js, name)
				return err == nil && member
			}).Should(BeTrue())
		}
		Consistently(changes.Load).WithTimeout(2 * prepare.MemberTTL).Should(Equal(settled))
		for n := range p.Partitions {
			got := insist(ctx, func(attempt int) *flashpod.Service { return pods[attempt%3].Service },
				request(p, buyerOf(n, p.Partitions, 0), "r", "a", 1))
			Expect(got.order).NotTo(BeEmpty())
		}
	})
})
