package flash_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// levers is a promotion on three pods, whose settings change while it runs.
type levers struct {
	js   jetstream.JetStream
	p    *flashv1.Promotion
	pods []*pod
	// buyers so far: each asks once.
	buyers int
}

// pull changes the promotion and waits until a new buyer of every partition gets the answer, with
// "" for an order, on every pod.
func (l *levers) pull(ctx context.Context, lever, want string, change func(*flashv1.Promotion)) {
	GinkgoHelper()
	l.p = proto.CloneOf(l.p)
	change(l.p)
	began := time.Now()
	Expect(prepare.PutPromotion(ctx, l.js, l.p)).To(Succeed())
	l.answers(ctx, lever, want, began)
}

// answers waits for the answer on every pod, and writes down how long that took.
func (l *levers) answers(ctx context.Context, lever, want string, began time.Time) {
	GinkgoHelper()
	for _, pod := range l.pods {
		for n := range l.p.Partitions {
			Eventually(func() string {
				l.buyers++
				buyer := buyerOf(n, l.p.Partitions, 1_000_000+l.buyers)
				_, err := pod.PlaceFlashOrder(ctx, request(l.p, buyer, "r", "a", 2))
				return rpcerr.Reason(err)
			}).Should(Equal(want), lever)
		}
	}
	AddReportEntry(lever, fmt.Sprintf("on every pod and partition after %s", time.Since(began).Round(time.Millisecond)),
		ReportEntryVisibilityAlways)
}

// pullAll has each lever pulled and let go.
func (l *levers) pullAll(ctx context.Context) {
	GinkgoHelper()
	l.pull(ctx, "pause", rpcerr.ReasonPaused, func(p *flashv1.Promotion) { p.Paused = true })
	l.pull(ctx, "resume", "", func(p *flashv1.Promotion) { p.Paused = false })
	l.pull(ctx, "item off", rpcerr.ReasonItemOff, func(p *flashv1.Promotion) { p.Items[0].Off = true })
	l.pull(ctx, "item on", "", func(p *flashv1.Promotion) { p.Items[0].Off = false })
	l.pull(ctx, "limit", rpcerr.ReasonLimitPerBuyer, func(p *flashv1.Promotion) { p.Items[0].LimitPerBuyer = 1 })
	l.pull(ctx, "no limit", "", func(p *flashv1.Promotion) { p.Items[0].LimitPerBuyer = 0 })
	l.pull(ctx, "end early", rpcerr.ReasonEnded,
		func(p *flashv1.Promotion) { p.EndUnixMs = time.Now().Add(-time.Minute).UnixMilli() })
	l.pull(ctx, "extend", "", func(p *flashv1.Promotion) { p.EndUnixMs = time.Now().Add(time.Hour).UnixMilli() })
}

var _ = Describe("The levers of a running promotion", func() {
	var (
		js jetstream.JetStream
		l  *levers
	)

	BeforeEach(func(ctx SpecContext) {
		js = newJetStream()
		items := []prepare.Item{{SKU: "a", Quantity: 100_000}}
		p := newPromotion(6, 0, items...)
		open(ctx, js, p, items...)
		l = &levers{
			js:   js,
			p:    p,
			pods: []*pod{startPod(js, "pod-a", nil), startPod(js, "pod-b", nil), startPod(js, "pod-c", nil)},
		}
		ready(l.pods...)
		l.answers(ctx, "open", "", time.Now())
	})

	It("act on every pod within moments", func(ctx SpecContext) { l.pullAll(ctx) })

	It("act while the pods' watches are dead, which nobody told them", func(ctx SpecContext) {
		stream, err := js.Stream(ctx, "KV_"+prepare.PromotionsBucket)
		Expect(err).NotTo(HaveOccurred())
		kill := func() {
			for name := range stream.ConsumerNames(ctx).Name() {
				Expect(stream.DeleteConsumer(ctx, name)).To(Succeed())
			}
		}
		for _, paused := range []bool{true, false, true, false} {
			kill()
			l.pull(ctx, fmt.Sprint("paused ", paused), map[bool]string{true: rpcerr.ReasonPaused}[paused],
				func(p *flashv1.Promotion) { p.Paused = paused })
		}
	})
})
