package operator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// manyItems have SKUs as long as they may be, and every field set.
func manyItems(n int) []v1alpha1.PromotionItem {
	items := make([]v1alpha1.PromotionItem, n)
	for i := range items {
		items[i] = v1alpha1.PromotionItem{
			SKU: fmt.Sprintf("sku-%04d-%s", i, strings.Repeat("x", 55)), Price: ptr.To[int64](199900), Stock: 100_000,
			LimitPerBuyer: ptr.To[int32](2), Off: ptr.To(false),
		}
	}
	return items
}

var _ = Describe("A PromotionEvent with 1,000 items", func() {
	It("is created, changed and refused by the API server as a small one is", func(ctx SpecContext) {
		p := makePromotion(newNamespace(ctx)).Items(manyItems(1000)...).Obj()
		p.Spec.Streams, p.Spec.Partitions = ptr.To[int32](4), ptr.To[int32](64)
		begin := time.Now()
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		AddReportEntry("created", time.Since(begin).Round(time.Millisecond))
		p.Status.Phase, p.Status.Partitions = v1alpha1.PhaseLive, 64
		for i, item := range p.Spec.Items {
			p.Status.Items = append(p.Status.Items, v1alpha1.PromotionItemStatus{
				SKU:       item.SKU,
				Stream:    ptr.To(int32(i % 4)),
				Allocated: ptr.To(item.Stock),
				Sold:      ptr.To(item.Stock),
				Left:      ptr.To(item.Stock),
				Returned:  ptr.To(item.Stock),
			})
		}
		Expect(kube.Client.Status().Update(ctx, p)).To(Succeed())
		raw, err := json.Marshal(p)
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("bytes in etcd, about", len(raw))
		Expect(len(raw)).To(BeNumerically("<", 1_300_000), "etcd takes 1.5 MiB")

		change := func(f func(*v1alpha1.PromotionEventSpec)) error {
			next := p.DeepCopy()
			f(&next.Spec)
			return kube.Client.Update(ctx, next, client.DryRunAll)
		}
		begin = time.Now()
		Expect(change(func(s *v1alpha1.PromotionEventSpec) { s.Items[700].Stock++ })).To(Succeed())
		AddReportEntry("topped up", time.Since(begin).Round(time.Millisecond))
		Expect(change(func(s *v1alpha1.PromotionEventSpec) {
			for i := range s.Items {
				s.Items[i].Stock++
				s.Items[i].Off = ptr.To(true)
			}
		})).To(Succeed())
		expectRefused(change(func(s *v1alpha1.PromotionEventSpec) { s.Items[999].Stock-- }), "spec.items",
			"never shrink")
		expectRefused(change(func(s *v1alpha1.PromotionEventSpec) { s.Items[500].Price = ptr.To[int64](1) }),
			"spec.items", "no price may change")
		expectRefused(change(func(s *v1alpha1.PromotionEventSpec) { s.Items[999].SKU = "other" }), "spec.items",
			"no sku may be added, removed or moved")
		expectRefused(change(func(s *v1alpha1.PromotionEventSpec) { s.Items = s.Items[:999] }), "spec.items",
			"no sku may be added, removed or moved")
		p.Status.Phase = v1alpha1.PhaseDraining
		Expect(kube.Client.Status().Update(ctx, p)).To(Succeed())
		expectRefused(change(func(s *v1alpha1.PromotionEventSpec) { s.Items[3].Stock++ }), "spec.items",
			"must not grow once the promotion has ended")
	}, SpecTimeout(5*time.Minute))

	It("is provisioned in one pass, topped up, counted and settled", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		items := manyItems(1000)
		for i := range items {
			items[i].Off, items[i].Stock = nil, int64(1000+i)
		}
		var skus []string
		for _, item := range items {
			skus = append(skus, item.SKU)
		}
		_, err := s.pool.Exec(ctx,
			"INSERT INTO stock (sku, available, reserved, deducted) SELECT sku, 10000, 0, 0 FROM unnest($1::text[]) AS s (sku)",
			skus)
		Expect(err).NotTo(HaveOccurred())
		p := s.promotion().Items(items...).Obj()
		p.Spec.Streams, p.Spec.Partitions = ptr.To[int32](4), ptr.To[int32](64)
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		begin := time.Now()
		s.reconcile(ctx)
		AddReportEntry("1,000 items in 64 partitions allocated, opened and published, s", time.Since(begin).Seconds())
		p = s.getPromotion(ctx)
		Expect(condition(p.Status.Conditions, "PartitionsOpen")).To(Equal("True/Opened"))
		Expect(p.Status.Streams).To(Equal(int32(4)))
		stocks := map[int32]int64{}
		for i, item := range p.Status.Items {
			stocks[*item.Stream] += p.Spec.Items[i].Stock
		}
		for k := range int32(4) {
			Expect(stocks[k]).To(BeNumerically("~", 1_499_500/4, 2000), "stream %d", k)
		}
		s.flashPods(ctx, 3)
		s.clock.Set(s.start)
		s.reconcile(ctx)

		By("selling items of different streams")
		flash := s.sell()
		of := map[int32]string{}
		for _, item := range p.Status.Items {
			of[*item.Stream] = item.SKU
		}
		for k := range int32(4) {
			buyMany(ctx, flash, of[k], 3)
		}
		s.materialize(s.pool)
		begin = time.Now()
		s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.Items[999].Stock += 500 })
		interval := s.reconcile(ctx)
		AddReportEntry("one item topped up, s", time.Since(begin).Seconds())
		Expect(interval).To(Equal(10*time.Second), "so many items are counted seldom")
		p = s.getPromotion(ctx)
		Expect(*p.Status.Sold).To(Equal(int64(12)))
		raw, err := json.Marshal(p)
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("bytes of the object", len(raw))
		Expect(len(raw)).To(BeNumerically("<", 1_300_000), "etcd takes 1.5 MiB")

		By("settling it")
		s.clock.Set(s.end.Add(time.Minute))
		begin = time.Now()
		Eventually(func() string {
			s.reconcile(ctx)
			return condition(s.conditions(ctx), "Settled")
		}).Should(Equal("True/Settled"))
		AddReportEntry("settled, s", time.Since(begin).Seconds())
		p = s.getPromotion(ctx)
		Expect(condition(p.Status.Conditions, "InvariantViolated")).To(Equal("False/Proved"))
		Expect(*p.Status.Items[999].Allocated).To(Equal(int64(2499)))
		Expect(*p.Status.Sold + *p.Status.Left).To(Equal(int64(1_499_500 + 500)))
	}, SpecTimeout(3*time.Minute))
})
