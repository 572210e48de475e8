package operator_test

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

var _ = Describe("A PromotionEvent that is weeks away", func() {
	It("takes nothing and may be changed in everything until it is prepared", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		for _, sku := range []string{"phone", "case", "tablet"} {
			addSKU(ctx, s.pool, sku, 100)
		}
		p := s.promotion().Obj()
		p.Spec.PrepareBefore = &metav1.Duration{Duration: 30 * time.Minute}
		s.clock.Set(s.start.Add(-21 * 24 * time.Hour))
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		due := s.start.Add(-31 * time.Minute)
		Expect(s.reconcile(ctx)).To(Equal(due.Sub(s.clock.Now())), "the time of its preparation is computed")
		p = s.getPromotion(ctx)
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseScheduled))
		Expect(condition(p.Status.Conditions, "Ready")).To(Equal("True/Scheduled"), "all is done that the present asks for")
		Expect(condition(p.Status.Conditions, "Reconciling")).To(Equal("False/AsExpected"))
		Expect(condition(p.Status.Conditions, "Stalled")).To(Equal("False/AsExpected"))
		Expect(condition(p.Status.Conditions, "StockAllocated")).To(Equal("False/Scheduled"))
		Expect(message(p.Status.Conditions, "Ready")).To(ContainSubstring(due.UTC().Format(time.RFC3339)))
		Expect(p.Status.Partitions).To(BeZero())
		Expect(p.Status.Replicas).To(BeEquivalentTo(3), "people see how many pods it will need")
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 100}))
		Expect(s.streams(ctx)).To(BeEmpty(), "it costs no stream")

		By("being planned anew")
		s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) {
			spec.Items = []v1alpha1.PromotionItem{
				{SKU: "tablet", Price: ptr.To[int64](5000), Stock: 40}, {SKU: "phone", Price: ptr.To[int64](1), Stock: 10},
			}
			spec.Partitions = ptr.To[int32](2)
		})
		s.reconcile(ctx)
		Expect(s.getPromotion(ctx).Status.ObservedGeneration).To(Equal(s.getPromotion(ctx).Generation))

		By("taking what the plan has then, at its time")
		s.clock.Set(due)
		s.reconcile(ctx)
		Expect(levels(ctx, s.pool, "tablet")).To(Equal(stock.Levels{Available: 60, Reserved: 40}))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 90, Reserved: 10}))
		Expect(levels(ctx, s.pool, "case")).To(Equal(stock.Levels{Available: 100}))
		p = s.getPromotion(ctx)
		Expect(p.Status.Partitions).To(BeEquivalentTo(2))
		Expect(condition(p.Status.Conditions, "PartitionsOpen")).To(Equal("True/Opened"))
		Expect(condition(p.Status.Conditions, "Ready")).To(Equal("True/Scheduled"), "its pods come later")
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseScheduled))

		By("refusing from then on what cannot be changed any more")
		p.Spec.Items[0].Price = ptr.To[int64](1)
		expectRefused(kube.Client.Update(ctx, p), "spec.items", "no price may change once the promotion is prepared")

		By("keeping what it has, wherever its start is moved")
		s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) {
			spec.StartTime = metav1.NewTime(spec.StartTime.Add(48 * time.Hour))
			spec.EndTime = metav1.NewTime(spec.EndTime.Add(48 * time.Hour))
		})
		s.reconcile(ctx)
		Expect(levels(ctx, s.pool, "tablet")).To(Equal(stock.Levels{Available: 60, Reserved: 40}))
		Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("True/Allocated"))
	}, SpecTimeout(2*time.Minute))

	It("leaves nothing behind when it is deleted before that", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		p := s.promotion().Obj()
		p.Spec.PrepareBefore = &metav1.Duration{Duration: 30 * time.Minute}
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		s.reconcile(ctx)
		Expect(s.getPromotion(ctx).Status.Phase).To(Equal(v1alpha1.PhaseScheduled))
		Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
		s.clock.Set(time.Now().Add(time.Second))
		Eventually(func() bool {
			s.reconcile(ctx)
			return s.gone(ctx)
		}).Should(BeTrue())
		Expect(s.streams(ctx)).To(BeEmpty())
	}, SpecTimeout(2*time.Minute))
})

// streams are the promotion's streams in JetStream.
func (s *stage) streams(ctx context.Context) []string {
	GinkgoHelper()
	var names []string
	list := s.js.StreamNames(ctx)
	for name := range list.Name() {
		if !strings.HasPrefix(name, "KV_") {
			names = append(names, name)
		}
	}
	Expect(list.Err()).NotTo(HaveOccurred())
	return names
}

func (s *stage) gone(ctx context.Context) bool {
	key := types.NamespacedName{Namespace: s.namespace, Name: "singles-day"}
	return apierrors.IsNotFound(kube.Client.Get(ctx, key, &v1alpha1.PromotionEvent{}))
}
