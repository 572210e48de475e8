package operator_test

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/run"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

var _ = Describe("The end of a sale", func() {
	It("is by JetStream's clock, whatever the operator's own says", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		addSKU(ctx, s.pool, "phone", 200)
		addSKU(ctx, s.pool, "case", 200)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.reconcile(ctx)
		before := s.getPromotion(ctx).Status.Phase

		By("waiting when the node's clock is an hour past it")
		s.reconciler.ServerTime = nil
		s.clock.Set(s.end.Add(time.Hour))
		wait := s.reconcile(ctx)
		Expect(wait).To(BeNumerically(">", time.Hour), "the real NATS server's clock is before the start")
		Expect(s.getPromotion(ctx).Status.Phase).To(Equal(before))
		Expect(condition(s.conditions(ctx), "Settled")).To(Equal("False/NotEnded"))
		Expect(condition(s.conditions(ctx), "Late")).To(Equal("False/InTime"))

		By("closing nothing while it cannot be read")
		s.reconciler.ServerTime = func(context.Context) (time.Time, error) { return time.Time{}, errors.New("nobody knows") }
		s.events()
		for range 2 {
			s.reconcileOnce(ctx)
			Expect(s.getPromotion(ctx).Status.Phase).To(Equal(before))
			Expect(condition(s.conditions(ctx), "Reconciling")).To(Equal("True/ClockUnknown"))
			Expect(message(s.conditions(ctx), "Reconciling")).To(ContainSubstring("nobody knows"))
			Expect(condition(s.conditions(ctx), "PartitionsOpen")).To(Equal("True/Opened"))
		}
		Expect(s.events()).To(And(ContainSubstring("Warning ClockUnknown"), Not(ContainSubstring("\n"))), "told once")

		By("closing when it has passed by that clock")
		s.reconciler.ServerTime = func(context.Context) (time.Time, error) { return s.end.Add(3 * time.Second), nil }
		Eventually(func() string {
			s.reconcileOnce(ctx)
			return condition(s.conditions(ctx), "PartitionsOpen")
		}).Should(Equal("False/Closed"))
	}, SpecTimeout(2*time.Minute))

	It("is stored before anything is closed, so that no extension crosses it", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		addSKU(ctx, s.pool, "phone", 200)
		addSKU(ctx, s.pool, "case", 200)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.reconcile(ctx)
		// The operator was away at the end: it comes back when all could be closed.
		s.clock.Set(s.end.Add(time.Minute))
		s.reconcileOnce(ctx)
		p := s.getPromotion(ctx)
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseDraining))
		Expect(condition(p.Status.Conditions, "PartitionsOpen")).To(Equal("True/Opened"), "nothing is closed yet")
		p.Spec.EndTime = metav1.NewTime(p.Spec.EndTime.Add(time.Hour))
		expectRefused(kube.Client.Update(ctx, p), "spec.endTime", "must not change once the promotion has ended")
		Eventually(func() string {
			s.reconcileOnce(ctx)
			return condition(s.conditions(ctx), "PartitionsOpen")
		}).Should(Equal("False/Closed"))
	}, SpecTimeout(2*time.Minute))
})

var _ = Describe("A sale of which nobody knows what time it is", func() {
	It("takes nothing until that is known", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		addSKU(ctx, s.pool, "phone", 200)
		addSKU(ctx, s.pool, "case", 200)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		known := s.reconciler.ServerTime
		// The operator has just been started, and this JetStream cannot be reached.
		s.reconciler.ServerTime = nil
		s.nats.Stop()
		wait := s.reconcile(ctx)
		Expect(wait).To(BeNumerically("<=", 30*time.Second), "it may be due at any time")
		p := s.getPromotion(ctx)
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhasePending))
		Expect(p.Status.Partitions).To(BeZero())
		for _, kind := range []string{"Ready", "StockAllocated", "PartitionsOpen"} {
			Expect(condition(p.Status.Conditions, kind)).To(Equal("False/ClockUnknown"), kind)
		}
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 200}))

		s.nats.Restart()
		s.reconciler.ServerTime = known
		Eventually(func() string {
			s.reconcileOnce(ctx)
			return condition(s.conditions(ctx), "PartitionsOpen")
		}).Should(Equal("True/Opened"))
		Expect(condition(s.conditions(ctx), "Reconciling")).NotTo(Equal("True/ClockUnknown"))
	}, SpecTimeout(2*time.Minute))
})

// named reads the promotion of a name.
func (w *world) named(ctx context.Context, name string) *v1alpha1.PromotionEvent {
	GinkgoHelper()
	p := &v1alpha1.PromotionEvent{}
	Expect(kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, p)).To(Succeed())
	return p
}

var _ = DescribeTable("A sale whose operator's clock is wrong is prepared, starts and ends by JetStream's",
	func(ctx SpecContext, ahead time.Duration, words string) {
		w, pool := migratedWorld(ctx, time.Now)
		addSKU(ctx, pool, "phone", 1000)
		addSKU(ctx, pool, "case", 1000)
		w.play()
		w.materialize(pool)
		background(func(ctx context.Context) error {
			return run.Run(ctx, run.Options{
				Config: operatorConfig, MetricsAddress: "0", HealthAddress: "0", Watched: []string{w.namespace},
				Clock: func() time.Time { return time.Now().Add(ahead) }, Log: w.log, Version: "test",
			})
		})
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionClockInSync)).Should(Equal("False/ClockSkewed"))
		Expect(w.clusterMessage(ctx, v1alpha1.ConditionClockInSync)()).To(ContainSubstring(words))

		// The one is prepared in 15 seconds, the other starts then and ends 10 seconds later.
		due := time.Now().Add(15 * time.Second).Truncate(time.Second)
		later := makePromotion(w.namespace).Named("later").Obj()
		later.Spec.PrepareBefore = &metav1.Duration{Duration: 2 * time.Minute}
		later.Spec.Prewarm = &metav1.Duration{Duration: 5 * time.Second}
		later.Spec.StartTime = metav1.NewTime(due.Add(2*time.Minute + 5*time.Second))
		later.Spec.EndTime = metav1.NewTime(later.Spec.StartTime.Add(time.Hour))
		end := due.Add(10 * time.Second)
		p := makePromotion(w.namespace).Window(due, end).Obj()
		p.Spec.Prewarm = &metav1.Duration{Duration: 5 * time.Second}
		Expect(kube.Client.Create(ctx, later)).To(Succeed())
		Expect(kube.Client.Create(ctx, p)).To(Succeed())

		// It is read first what was done, and then what time it is: nothing is early by that.
		early := func(is bool, at time.Time, what string) {
			GinkgoHelper()
			if now := time.Now(); is && now.Before(at) {
				Fail(what + " " + at.Sub(now).String() + " early")
			}
		}
		var live, prepared bool
		Eventually(func() string {
			now, next := w.getPromotion(ctx).Status, w.named(ctx, "later").Status
			isLive := now.Phase == v1alpha1.PhaseLive
			hasStock := condition(next.Conditions, v1alpha1.ConditionStockAllocated) == "True/Allocated"
			early(isLive, due, "live")
			early(hasStock, due, "prepared")
			early(!now.ClosedTime.IsZero(), end, "closed")
			live, prepared = live || isLive, prepared || hasStock
			return condition(now.Conditions, v1alpha1.ConditionSettled)
		}).WithTimeout(2 * time.Minute).Should(Equal("True/Settled"))
		Expect(live).To(BeTrue(), "it was live in between")
		Eventually(func() string { return condition(w.named(ctx, "later").Status.Conditions, "StockAllocated") }).Should(
			Equal("True/Allocated"))
		Expect(prepared || time.Now().Before(later.Spec.StartTime.Time)).To(BeTrue(), "it was prepared before its start")
		settled := w.getPromotion(ctx).Status
		Expect(settled.ClosedTime.Time).To(BeTemporally(">=", end))
		Expect(settled.SettledTime.Time).To(BeTemporally("<", end.Add(time.Minute)), "by JetStream's clock as well")
		Eventually(func() []string { return w.notes(ctx, "ClockSkewed") }).Should(HaveLen(1))
	},
	Entry("5 minutes ahead", 5*time.Minute, "5m0s ahead of JetStream's", SpecTimeout(4*time.Minute)),
	Entry("5 minutes behind", -5*time.Minute, "5m0s behind JetStream's", SpecTimeout(4*time.Minute)),
)
