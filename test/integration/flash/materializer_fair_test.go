package flash_test

import (
	"context"
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/shop/materializer"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// stuck never gets a promotion's orders written.
type stuck struct {
	*order.Store
	uid string
}

func (s stuck) Materialize(ctx context.Context, accepted []order.Accepted) error {
	if accepted[0].PromotionUID == s.uid {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Store.Materialize(ctx, accepted)
}

// another is a second promotion of the lane's items, which the lane has from now on.
func (l *lane) another(ctx context.Context) {
	GinkgoHelper()
	l.p = newPromotion(1, 0, l.items...)
	open(ctx, l.js, l.p, l.items...)
}

var _ = Describe("A promotion beside one that is stuck", func() {
	It("is written at once, and the lag of the other is seen", func(ctx SpecContext) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 2000})
		first := l.p
		l.sell(ctx, 200, onlyA)
		l.another(ctx)
		l.sell(ctx, 200, onlyA)
		registry := prometheus.NewRegistry()
		stop := background(materialize(materializer.Options{
			JetStream: l.js, Writer: stuck{l.store, first.Uid}, RatePerSecond: 5000, Clock: time.Now,
			Random: rand.New(rand.NewPCG(1, 2)), Logger: logger(), Registerer: registry,
		}))
		began := time.Now()
		l.drained(ctx)
		Expect(time.Since(began)).To(BeNumerically("<", 8*time.Second), "less than one transaction may take")
		Expect(l.written(ctx)).To(HaveLen(200))
		Expect(prepare.Drained(ctx, l.js, first)).To(BeFalse())
		Eventually(
			func() float64 { return gauge(registry, "orderd_flash_materialize_pending_records", first.Name) },
		).Should(BeNumerically(">", 0))
		Expect(gauge(registry, "orderd_flash_materialize_oldest_seconds", first.Name)).To(BeNumerically(">", 0))
		stop()
		Expect(
			gauge(registry, "orderd_flash_materialize_pending_records", first.Name),
		).To(BeEquivalentTo(-1), "nobody is misled by a lag of before")
	})
})

var _ = Describe("The rate limit", func() {
	It("is shared: a small promotion does not wait for a large one", func(ctx SpecContext) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 5000})
		large := l.p
		l.sell(ctx, 1500, onlyA)
		l.another(ctx)
		l.sell(ctx, 50, onlyA)
		background(materialize(materializer.Options{
			JetStream: l.js, Writer: l.store, RatePerSecond: 200, Clock: time.Now,
			Random: rand.New(rand.NewPCG(1, 2)), Logger: logger(), Registerer: prometheus.NewRegistry(),
		}))
		l.drained(ctx)
		Expect(prepare.Drained(ctx, l.js, large)).To(BeFalse())
		Expect(len(l.written(ctx))).To(BeNumerically("<", 1500))
	})
})

// materialize is the Run of a materializer.
func materialize(o materializer.Options) func(context.Context) error {
	GinkgoHelper()
	m, err := materializer.New(o)
	Expect(err).NotTo(HaveOccurred())
	return m.Run
}

// gauge of a promotion; -1 if there is none.
func gauge(registry *prometheus.Registry, name, promotion string) float64 {
	GinkgoHelper()
	families, err := registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "promotion" && label.GetValue() == promotion {
					return metric.GetGauge().GetValue()
				}
			}
		}
	}
	return -1
}
