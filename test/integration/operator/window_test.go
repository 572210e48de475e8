package operator_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// stocked is a stage with an OrderCluster and enough stock.
func stocked(ctx SpecContext) *stage {
	GinkgoHelper()
	s := newStage(ctx)
	s.cluster(ctx)
	addSKU(ctx, s.pool, "phone", 1000)
	addSKU(ctx, s.pool, "case", 1000)
	return s
}

// neverOpened is what a promotion says whose window passed without it, and that nothing is taken.
func (s *stage) neverOpened(ctx SpecContext) {
	GinkgoHelper()
	c := s.conditions(ctx)
	Expect(condition(c, v1alpha1.ConditionReady)).To(Equal("False/NeverOpened"))
	Expect(condition(c, v1alpha1.ConditionStalled)).To(Equal("True/NeverOpened"))
	Expect(condition(c, v1alpha1.ConditionReconciling)).To(Equal("False/AsExpected"))
	Expect(s.columns(ctx)).To(HaveKeyWithValue("Ready", "False"))
	Expect(s.events()).To(ContainSubstring("Warning NeverOpened"))
	for _, sku := range []string{"phone", "case"} {
		Expect(levels(ctx, s.pool, sku)).To(Equal(stock.Levels{Available: 1000}))
	}
}

var _ = Describe("The window of a PromotionEvent", func() {
	DescribeTable("that has passed when it is made is told, and never takes anything",
		func(ctx SpecContext, ago time.Duration, change func(*v1alpha1.PromotionEventSpec)) {
			s := stocked(ctx)
			p := s.promotion().Obj()
			end := s.clock.Now().Add(-ago)
			p.Spec.StartTime, p.Spec.EndTime = metav1.NewTime(end.Add(-time.Hour)), metav1.NewTime(end)
			change(&p.Spec)
			Expect(kube.Client.Create(ctx, p)).To(Succeed())
			s.reconcile(ctx)
			s.neverOpened(ctx)
			By("saying so on and on, until it is deleted")
			s.clock.Set(s.clock.Now().Add(time.Hour))
			s.reconcile(ctx)
			Expect(condition(s.conditions(ctx), v1alpha1.ConditionReady)).To(Equal("False/NeverOpened"))
			Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
			s.reconcile(ctx)
			Expect(gone(ctx, s.namespace)).To(BeTrue())
		},
		Entry("a minute ago", SpecTimeout(3*time.Minute), time.Minute, func(*v1alpha1.PromotionEventSpec) {}),
		Entry("at this moment", SpecTimeout(3*time.Minute), time.Duration(0), func(*v1alpha1.PromotionEventSpec) {}),
		Entry("a year ago", SpecTimeout(3*time.Minute), 365*24*time.Hour, func(*v1alpha1.PromotionEventSpec) {}),
		Entry("paused", SpecTimeout(3*time.Minute), time.Minute,
			func(spec *v1alpha1.PromotionEventSpec) { spec.Paused = ptr.To(true) }),
		Entry("with a log to be kept", SpecTimeout(3*time.Minute), time.Minute, func(spec *v1alpha1.PromotionEventSpec) {
			spec.Settlement.KeepLog = &metav1.Duration{Duration: time.Hour}
		}),
	)

	It("that has begun when it is made sells until its end", func(ctx SpecContext) {
		s := stocked(ctx)
		p := s.promotion().Window(s.clock.Now().Add(-time.Hour), s.clock.Now().Add(time.Hour)).Obj()
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		s.flashPods(ctx, 3)
		s.reconcile(ctx)
		Expect(s.getPromotion(ctx).Status.Phase).To(Equal(v1alpha1.PhaseLive))
		c := s.conditions(ctx)
		Expect(condition(c, v1alpha1.ConditionReady)).To(Equal("True/Selling"))
		Expect(condition(c, v1alpha1.ConditionStalled)).To(Equal("False/AsExpected"))
		Expect(levels(ctx, s.pool, "phone").Available).To(BeEquivalentTo(900))
	}, SpecTimeout(3*time.Minute))

	It("that passed while no operator ran is told by the next one", func(ctx SpecContext) {
		s := stocked(ctx)
		p := s.promotion().Obj()
		p.Spec.PrepareBefore = &metav1.Duration{Duration: time.Hour}
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), v1alpha1.ConditionReady)).To(Equal("True/Scheduled"))
		s.clock.Set(s.end.Add(time.Minute))
		s.reconcile(ctx)
		s.neverOpened(ctx)
	}, SpecTimeout(3*time.Minute))

	It("that passed while no operator ran, with all prepared, is settled by the next one", func(ctx SpecContext) {
		s := stocked(ctx)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.flashPods(ctx, 3)
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), v1alpha1.ConditionPartitionsOpen)).To(Equal("True/Opened"))
		Expect(levels(ctx, s.pool, "phone").Available).To(BeEquivalentTo(900))
		s.materialize(s.pool)
		s.clock.Set(s.end.Add(time.Minute))
		Eventually(func() string {
			s.reconcileOnce(ctx)
			return condition(s.conditions(ctx), v1alpha1.ConditionSettled)
		}).Should(Equal("True/Settled"))
		Expect(condition(s.conditions(ctx), v1alpha1.ConditionReady)).To(Equal("True/Settled"))
		Expect(condition(s.conditions(ctx), v1alpha1.ConditionInvariantViolated)).To(Equal("False/Proved"))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 1000}))
	}, SpecTimeout(3*time.Minute))
})
