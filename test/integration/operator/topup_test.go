package operator_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

var _ = Describe("A PromotionEvent", func() {
	It("takes more stock while it sells, as much as there is, and records each lever", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		flash := s.sell()
		Expect(condition(s.conditions(ctx), "ToppedUp")).To(Equal("True/ToppedUp"))
		buyMany(ctx, flash, "case", 50)
		Eventually(func() string { return buy(ctx, flash, "late", "case") }).Should(Equal("SOLD_OUT"))
		// What was proved until now does not hold for ever, which it would at a time that stands
		// still.
		s.clock.Set(s.start.Add(2 * time.Second))
		s.events()
		change := func(f func(*v1alpha1.PromotionEventSpec)) {
			GinkgoHelper()
			s.changePromotion(ctx, f)
			s.reconcile(ctx)
		}

		By("adding stock")
		change(func(spec *v1alpha1.PromotionEventSpec) { spec.Items[1].Stock = 60 })
		Expect(levels(ctx, s.pool, "case")).To(Equal(stock.Levels{Available: 940, Reserved: 60}))
		Expect(condition(s.conditions(ctx), "ToppedUp")).To(Equal("True/ToppedUp"))
		Expect(s.events()).To(ContainSubstring("StockAdded taken from stock: 10 of case"))
		for i := range 10 {
			Eventually(func() string { return buy(ctx, flash, fmt.Sprintf("more-%d", i), "case") }).Should(BeEmpty())
		}
		Eventually(func() string { return buy(ctx, flash, "too-late", "case") }).Should(Equal("SOLD_OUT"))

		By("adding what there is, and saying what is missing")
		change(func(spec *v1alpha1.PromotionEventSpec) { spec.Items[0].Stock, spec.Items[1].Stock = 110, 5000 })
		Expect(levels(ctx, s.pool, "case")).To(Equal(stock.Levels{Available: 940, Reserved: 60}))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 890, Reserved: 110}))
		Expect(condition(s.conditions(ctx), "ToppedUp")).To(Equal("False/InsufficientStock"))
		Expect(message(s.conditions(ctx), "ToppedUp")).To(ContainSubstring("missing 4000 of case"))
		Expect(s.getPromotion(ctx).Status.Phase).To(Equal(v1alpha1.PhaseLive))
		Expect(
			s.events(),
		).To(And(ContainSubstring("Warning InsufficientStock"), ContainSubstring("StockAdded taken from stock: 10 of phone")))
		addSKU(ctx, s.pool, "case", 4000)
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "ToppedUp")).To(Equal("True/ToppedUp"))
		Expect(levels(ctx, s.pool, "case")).To(Equal(stock.Levels{Available: 0, Reserved: 5000}))

		By("the other levers")
		s.events()
		change(func(spec *v1alpha1.PromotionEventSpec) {
			spec.Paused, spec.Items[0].Off, spec.Items[1].LimitPerBuyer = ptr.To(true), ptr.To(true), ptr.To[int32](3)
			spec.Admission.Required, spec.EndTime = ptr.To(true), metav1.NewTime(s.end.Add(time.Hour))
		})
		told := s.events()
		for _, want := range []string{
			"SalePaused", "SaleExtended", "AdmissionRequired", "ItemsSwitchedOff no longer sold: phone",
			"LimitsChanged units a buyer may have, 0 for no limit: case 3 (before: 0)",
		} {
			Expect(told).To(ContainSubstring("Normal " + want))
		}
		change(func(spec *v1alpha1.PromotionEventSpec) {
			*spec = *s.promotion().Obj().Spec.DeepCopy()
			spec.Items[0].Stock, spec.Items[1].Stock = 110, 5000
		})
		told = s.events()
		for _, want := range []string{
			"SaleResumed", "SaleShortened", "AdmissionNotRequired", "ItemsSwitchedOn sold again: phone",
		} {
			Expect(told).To(ContainSubstring("Normal " + want))
		}

		By("settling: what was allocated and added is what was sold and returned, and what was asked for too late is neither")
		Expect(condition(s.conditions(ctx), "ToppedUp")).To(Equal("True/ToppedUp"))
		s.materialize(s.pool)
		s.clock.Set(s.end.Add(time.Minute))
		change(func(spec *v1alpha1.PromotionEventSpec) { spec.Items[0].Stock = 120 })
		Eventually(func() string {
			s.reconcile(ctx)
			return condition(s.conditions(ctx), "Settled")
		}).Should(Equal("True/Settled"))
		p := s.getPromotion(ctx)
		Expect(condition(p.Status.Conditions, "InvariantViolated")).To(Equal("False/Proved"))
		Expect(condition(p.Status.Conditions, "ToppedUp")).To(Equal("False/Ended"))
		Expect(p.Status.Items).To(ConsistOf(
			itemStatus("phone", 110, 0, 110, ptr.To[int64](110)), itemStatus("case", 5000, 60, 4940, ptr.To[int64](4940))))
	}, SpecTimeout(2*time.Minute))

	It("tells the pods of stock that was added while messaging was away", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		addSKU(ctx, s.pool, "phone", 1000)
		addSKU(ctx, s.pool, "case", 1000)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.reconcile(ctx)
		s.nats.Stop()
		s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.Items[0].Stock = 150 })
		s.reconcile(ctx)
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 850, Reserved: 150}))
		s.nats.Restart()
		Eventually(func(g Gomega) {
			s.reconcile(ctx)
			bucket, err := s.js.KeyValue(ctx, prepare.PromotionsBucket)
			g.Expect(err).NotTo(HaveOccurred())
			entry, err := bucket.Get(ctx, string(s.getPromotion(ctx).UID))
			g.Expect(err).NotTo(HaveOccurred())
			var told flashv1.Promotion
			g.Expect(proto.Unmarshal(entry.Value(), &told)).To(Succeed())
			g.Expect(told.GetTopUps()).To(HaveLen(1))
			g.Expect(told.GetTopUps()[0].GetQuantity()).To(Equal(int64(50)))
		}).Should(Succeed())
		p := s.getPromotion(ctx)
		Expect(condition(p.Status.Conditions, "ToppedUp")).To(Equal("True/ToppedUp"))
		Expect(*p.Status.Items[0].Allocated).To(Equal(int64(150)))
	}, SpecTimeout(time.Minute))
})
