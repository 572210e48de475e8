package operator_test

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// lose takes the promotion away as a disaster does: nothing is settled. It returns its UID, once another one can be told
// from it by when it was made.
func (s *stage) lose(ctx context.Context) (uid string) {
	GinkgoHelper()
	p := s.getPromotion(ctx)
	Eventually(func() error {
		p = s.getPromotion(ctx)
		p.Finalizers = nil
		return kube.Client.Update(ctx, p)
	}).Should(Succeed())
	Expect(kube.Client.Delete(ctx, p)).To(Succeed())
	Eventually(func() bool { return gone(ctx, s.namespace) }).Should(BeTrue())
	Eventually(time.Now).Should(BeTemporally(">", p.CreationTimestamp.Add(time.Second)))
	return string(p.UID)
}

// adopt tells the promotion to go on in the place of another one.
func (s *stage) adopt(ctx context.Context, uid string) {
	GinkgoHelper()
	Eventually(func() error {
		p := s.getPromotion(ctx)
		metav1.SetMetaDataAnnotation(&p.ObjectMeta, v1alpha1.AnnotationAdopts, uid)
		return kube.Client.Update(ctx, p)
	}).Should(Succeed())
}

var _ = Describe("A PromotionEvent that is restored under another UID", func() {
	It("takes no stock a second time, and goes on in the first one's place if it is told to", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		flash := s.sell()
		buyMany(ctx, flash, "phone", 5)
		s.materialize(s.pool)
		partitions := s.getPromotion(ctx).Status.Partitions
		taken := stock.Levels{Available: 900, Reserved: 100}
		Expect(levels(ctx, s.pool, "phone")).To(Equal(taken))
		first := s.lose(ctx)

		By("refusing to take stock that the first one holds")
		s.events()
		// What it needs may have been changed meanwhile: a plan of its own would have other partitions.
		restored := s.promotion().Obj()
		restored.Spec.Partitions = ptr.To[int32](2)
		Expect(kube.Client.Create(ctx, restored)).To(Succeed())
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("False/StockHeld"))
		Expect(condition(s.conditions(ctx), "Stalled")).To(Equal("True/StockHeld"))
		Expect(message(s.conditions(ctx), "Stalled")).To(ContainSubstring(
			"kubectl annotate -n " + s.namespace + " promotionevent singles-day orderd.dev/adopts=" + first))
		Expect(s.events()).To(ContainSubstring("Warning StockHeld"))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(taken))
		Expect(s.published(ctx, string(restored.UID))).To(BeNil())
		Expect(s.published(ctx, first).GetPaused()).To(BeFalse())

		By("adopting none that does not hold it")
		for _, wrong := range []string{"0123", "../" + first} {
			s.adopt(ctx, wrong)
			s.reconcile(ctx)
			Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("False/AdoptionRefused"))
		}
		Expect(levels(ctx, s.pool, "phone")).To(Equal(taken))

		By("going on in its place")
		s.adopt(ctx, first)
		s.reconcile(ctx)
		p := s.getPromotion(ctx)
		Expect(p.Status.Adopted).To(Equal(first))
		Expect(p.Status.Partitions).To(Equal(partitions), "what is fixed stays")
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseLive))
		Expect(condition(p.Status.Conditions, "Stalled")).To(Equal("False/AsExpected"))
		Expect(p.Status.Items).To(ContainElement(itemStatus("phone", 100, 5, 95, nil)))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(taken))
		s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.Paused = ptr.To(true) })
		s.reconcile(ctx)
		Eventually(func() string { return buy(ctx, flash, "late", "case") }).Should(Equal("PAUSED"))
		s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.Paused = nil })
		s.reconcile(ctx)
		Eventually(func() string { return buy(ctx, flash, "another", "phone") }).Should(BeEmpty())

		By("settling what both sold, once")
		Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
		s.clock.Set(s.end.Add(time.Minute))
		Eventually(func() bool {
			s.reconcileOnce(ctx)
			return gone(ctx, s.namespace)
		}).Should(BeTrue())
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 994, Reserved: 6}))
		Expect(levels(ctx, s.pool, "case")).To(Equal(stock.Levels{Available: 1000}))
		Expect(s.streams(ctx)).NotTo(ContainElement(sale.StreamNames(first, 1)[0]))

		By("taking its own for a new one of the name, which has nothing to adopt any more")
		s.clock.Set(s.start)
		next := s.promotion().Obj()
		next.Annotations = map[string]string{v1alpha1.AnnotationAdopts: first}
		Expect(kube.Client.Create(ctx, next)).To(Succeed())
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("False/AdoptionRefused"))
		Expect(message(s.conditions(ctx), "StockAllocated")).To(ContainSubstring("no stock is held under this name"))
		s.adopt(ctx, "")
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("True/Allocated"))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 894, Reserved: 106}))
	}, SpecTimeout(3*time.Minute))

	It("does not open what was paused since its backup was made", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.Paused = ptr.To(true) })
		s.reconcile(ctx)
		first := s.lose(ctx)
		p := s.promotion().Obj()
		p.Annotations = map[string]string{v1alpha1.AnnotationAdopts: first}
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("False/AdoptionRefused"))
		Expect(message(s.conditions(ctx), "StockAllocated")).To(ContainSubstring("it is paused"))
		Expect(s.published(ctx, first).GetPaused()).To(BeTrue())

		s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.Paused = ptr.To(true) })
		s.reconcile(ctx)
		Expect(s.getPromotion(ctx).Status.Adopted).To(Equal(first))
		Expect(s.published(ctx, first).GetPaused()).To(BeTrue())
	}, SpecTimeout(3*time.Minute))

	It("does not make partitions anew in a log of which nothing else is left, and can be deleted", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		first := s.lose(ctx)
		bucket, err := s.js.KeyValue(ctx, prepare.PromotionsBucket)
		Expect(err).NotTo(HaveOccurred())
		Expect(bucket.Purge(ctx, first)).To(Succeed())
		last := func() uint64 {
			stream, err := s.js.Stream(ctx, sale.StreamNames(first, 1)[0])
			Expect(err).NotTo(HaveOccurred())
			return stream.CachedInfo().State.LastSeq
		}
		before := last()
		Expect(before).NotTo(BeZero())
		p := s.promotion().Obj()
		p.Annotations = map[string]string{v1alpha1.AnnotationAdopts: first}
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("False/AdoptionRefused"))
		Expect(message(s.conditions(ctx), "StockAllocated")).To(ContainSubstring(sale.ErrUntold.Error()))
		Expect(last()).To(Equal(before))
		Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
		s.reconcile(ctx)
		Expect(gone(ctx, s.namespace)).To(BeTrue())
	}, SpecTimeout(3*time.Minute))

	It("can be deleted without it, which leaves the first one's stock where it is", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		first := s.lose(ctx)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("False/StockHeld"))
		Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
		s.clock.Set(s.end.Add(time.Minute))
		s.reconcile(ctx)
		Expect(gone(ctx, s.namespace)).To(BeTrue())
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 900, Reserved: 100}))

		By("returning it by one that adopts it after the end")
		s.materialize(s.pool)
		p := s.promotion().Obj()
		p.Annotations = map[string]string{v1alpha1.AnnotationAdopts: first}
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		Eventually(func() string {
			s.reconcileOnce(ctx)
			return condition(s.conditions(ctx), "Settled")
		}).Should(Equal("True/Settled"))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 1000}))
	}, SpecTimeout(3*time.Minute))
})

var _ = Describe("The NATS account of an OrderCluster that is deleted", func() {
	It("is given back before it goes, also by an operator that was started since", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		w.play()
		stop := w.operateAs("first")
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		stop()
		bucket, err := w.js.KeyValue(ctx, sale.AccountBucket)
		Expect(err).NotTo(HaveOccurred())
		_, err = bucket.Get(ctx, "owner")
		Expect(err).NotTo(HaveOccurred())
		Expect(kube.Client.Delete(ctx, w.getCluster(ctx))).To(Succeed())
		w.operateAs("second")
		Eventually(func() error {
			_, err := bucket.Get(ctx, "owner")
			return err
		}).Should(MatchError(jetstream.ErrKeyNotFound))
		Eventually(func() bool { return w.clusterGone(ctx) }).Should(BeTrue())
	}, NodeTimeout(3*time.Minute))

	It("keeps it no longer than half a minute if its NATS is gone", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		w.play()
		w.operate()
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		w.nats.Stop()
		Expect(kube.Client.Delete(ctx, w.getCluster(ctx))).To(Succeed())
		Eventually(func() bool { return w.clusterGone(ctx) }).WithTimeout(2 * time.Minute).Should(BeTrue())
		Eventually(func() []string { return w.notes(ctx, "AccountKept") }).Should(
			ConsistOf(ContainSubstring("take it over by the annotation orderd.dev/take-nats-account-of=")))
	}, NodeTimeout(4*time.Minute))
})
