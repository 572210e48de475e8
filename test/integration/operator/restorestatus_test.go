package operator_test

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// neutral leaves of an object's metadata what a backup has.
func neutral(o client.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: o.GetNamespace(), Name: o.GetName(), Labels: o.GetLabels(), Annotations: o.GetAnnotations(),
		Finalizers: o.GetFinalizers(),
	}
}

// restorePromotion makes the promotion anew with the status of the backup, as Velero's restoreStatus does.
func restorePromotion(ctx context.Context, backup *v1alpha1.PromotionEvent) *v1alpha1.PromotionEvent {
	GinkgoHelper()
	p := &v1alpha1.PromotionEvent{ObjectMeta: neutral(backup), Spec: backup.Spec}
	Expect(kube.Client.Create(ctx, p)).To(Succeed())
	p.Status = *backup.Status.DeepCopy()
	Expect(kube.Client.Status().Update(ctx, p, client.FieldOwner("velero-server"))).To(Succeed())
	return p
}

// forgotten is how often the events tell that a status was forgotten.
func forgotten(events string) int { return strings.Count(events, "Warning StatusForgotten") }

var _ = Describe("A PromotionEvent that is restored with its status", func() {
	It("believes nothing of it, and goes on in the first one's place if it is told to", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		flash := s.sell()
		buyMany(ctx, flash, "phone", 5)
		s.materialize(s.pool)
		s.clock.Set(s.start.Add(10 * time.Second))
		s.reconcileOnce(ctx)
		backup := s.getPromotion(ctx)
		Expect(backup.Status.UID).To(BeEquivalentTo(backup.UID))
		Expect(backup.Status.Sold).To(HaveValue(BeEquivalentTo(5)))
		first := s.lose(ctx)
		told, streams := s.published(ctx, first), s.streams(ctx)
		taken := stock.Levels{Available: 900, Reserved: 100}
		Expect(levels(ctx, s.pool, "phone")).To(Equal(taken))

		By("taking nothing, and telling the pods nothing")
		s.events()
		restored := restorePromotion(ctx, backup)
		s.reconcile(ctx)
		p := s.getPromotion(ctx)
		Expect(p.Status.UID).To(BeEquivalentTo(restored.UID))
		Expect(condition(p.Status.Conditions, "StockAllocated")).To(Equal("False/StockHeld"))
		Expect(condition(p.Status.Conditions, "PartitionsOpen")).To(BeEmpty())
		Expect(condition(p.Status.Conditions, "Ready")).To(HavePrefix("False/"))
		Expect(condition(p.Status.Conditions, "Stalled")).To(Equal("True/StockHeld"))
		Expect(message(p.Status.Conditions, "Stalled")).To(ContainSubstring(
			"kubectl annotate -n " + s.namespace + " promotionevent singles-day orderd.dev/adopts=" + first))
		Expect(p.Status.Phase).NotTo(Equal(v1alpha1.PhaseLive))
		Expect(p.Status.Sold).To(BeNil())
		Expect(p.Status.ReadyTime).To(BeZero())
		Expect(levels(ctx, s.pool, "phone")).To(Equal(taken))
		Expect(s.published(ctx, string(restored.UID))).To(BeNil())
		Expect(proto.Equal(s.published(ctx, first), told)).To(BeTrue())
		Expect(s.streams(ctx)).To(ConsistOf(streams))
		events := s.events()
		Expect(forgotten(events)).To(Equal(1))
		Expect(events).To(And(ContainSubstring(first), ContainSubstring("Warning StockHeld")))

		By("going on in its place")
		s.adopt(ctx, first)
		s.reconcile(ctx)
		p = s.getPromotion(ctx)
		Expect([]string{p.Status.UID, p.Status.Adopted}).To(Equal([]string{string(restored.UID), first}))
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseLive))
		Expect(p.Status.Items).To(ContainElement(itemStatus("phone", 100, 5, 95, nil)))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(taken))
		Eventually(func() string { return buy(ctx, flash, "another", "phone") }).Should(BeEmpty())

		By("settling what both sold, once")
		Expect(kube.Client.Delete(ctx, p)).To(Succeed())
		s.clock.Set(s.end.Add(time.Minute))
		Eventually(func() bool {
			s.reconcileOnce(ctx)
			return gone(ctx, s.namespace)
		}).Should(BeTrue())
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 994, Reserved: 6}))
		Expect(forgotten(s.events())).To(BeZero())
	}, SpecTimeout(3*time.Minute))

	DescribeTable("believes nothing of it either", func(ctx SpecContext, change func(*v1alpha1.PromotionEventStatus)) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		backup := s.getPromotion(ctx)
		first := s.lose(ctx)
		change(&backup.Status)
		s.events()
		restored := restorePromotion(ctx, backup)
		s.reconcile(ctx)
		p := s.getPromotion(ctx)
		Expect([]string{p.Status.UID, p.Status.Adopted}).To(Equal([]string{string(restored.UID), ""}))
		Expect(condition(p.Status.Conditions, "StockAllocated")).To(Equal("False/StockHeld"))
		Expect(condition(p.Status.Conditions, "Settled")).NotTo(HavePrefix("True/"))
		Expect(s.published(ctx, string(restored.UID))).To(BeNil())
		Expect(s.published(ctx, first).GetPaused()).To(BeFalse())
		Expect(forgotten(s.events())).To(Equal(1))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 900, Reserved: 100}))

		By("also if it is deleted before anybody looks")
		Expect(kube.Client.Delete(ctx, p)).To(Succeed())
		s.reconcile(ctx)
		Expect(gone(ctx, s.namespace)).To(BeTrue())
		restorePromotion(ctx, backup)
		Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
		s.reconcile(ctx)
		Expect(gone(ctx, s.namespace)).To(BeTrue())
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 900, Reserved: 100}))
	},
		Entry("that does not say whom it is about", func(st *v1alpha1.PromotionEventStatus) { st.UID = "" },
			SpecTimeout(3*time.Minute)),
		Entry("of one that had adopted another", func(st *v1alpha1.PromotionEventStatus) {
			st.UID, st.Adopted = "8c5f5d0a-0000-4000-8000-000000000000", "8c5f5d0a-0000-4000-8000-000000000001"
		}, SpecTimeout(3*time.Minute)),
		Entry("that says that all is settled", func(st *v1alpha1.PromotionEventStatus) {
			st.SettledTime = metav1.Now()
			meta.SetStatusCondition(&st.Conditions, metav1.Condition{
				Type: v1alpha1.ConditionSettled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSettled,
			})
		}, SpecTimeout(3*time.Minute)),
	)

	It("wakes the operator up, whenever that status comes", func(ctx SpecContext) {
		w, pool := migratedWorld(ctx, time.Now)
		addSKU(ctx, pool, "phone", 1000)
		addSKU(ctx, pool, "case", 1000)
		w.play()
		w.operate()
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		p := makePromotion(w.namespace).Obj()
		p.Spec.PrepareBefore = &metav1.Duration{Duration: 2 * time.Minute}
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		Eventually(w.promotionCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/Scheduled"))
		Eventually(func() error {
			p = w.getPromotion(ctx)
			p.Status.UID, p.Status.Phase, p.Status.Partitions = "another", v1alpha1.PhaseLive, 4
			return kube.Client.Status().Update(ctx, p)
		}).Should(Succeed())
		Eventually(func() v1alpha1.PromotionPhase { return w.getPromotion(ctx).Status.Phase }).Should(
			Equal(v1alpha1.PhaseScheduled))
		p = w.getPromotion(ctx)
		Expect(p.Status.UID).To(BeEquivalentTo(p.UID))
		Expect(p.Status.Partitions).To(BeZero())
	}, SpecTimeout(3*time.Minute))
})

// collect removes what an owner that is gone has left, as Kubernetes' garbage collector does.
func (w *world) collect(ctx context.Context, owner client.Object) {
	GinkgoHelper()
	for _, list := range []client.ObjectList{
		&batchv1.JobList{}, &corev1.ConfigMapList{}, &corev1.SecretList{}, &corev1.ServiceList{}, &appsv1.DeploymentList{},
		&corev1.ServiceAccountList{}, &autoscalingv2.HorizontalPodAutoscalerList{}, &policyv1.PodDisruptionBudgetList{},
		&networkingv1.NetworkPolicyList{},
	} {
		Expect(kube.Client.List(ctx, list, client.InNamespace(w.namespace))).To(Succeed())
		Expect(meta.EachListItem(list, func(o runtime.Object) error {
			object := o.(client.Object)
			if !metav1.IsControlledBy(object, owner) {
				return nil
			}
			return kube.Client.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationBackground))
		})).To(Succeed())
	}
}

var _ = Describe("An OrderCluster that is restored with its status", func() {
	It("is migrated, whatever the status says", func(ctx SpecContext) {
		p := newPlatform(ctx)
		p.settle(ctx)
		backup := p.getCluster(ctx)
		Expect(backup.Status.UID).To(BeEquivalentTo(backup.UID))
		Expect(p.told()).NotTo(ContainElement(ContainSubstring("StatusForgotten")))
		Expect(kube.Client.Delete(ctx, p.getCluster(ctx))).To(Succeed())
		Eventually(func() bool {
			_, err := p.reconcile(ctx)
			return err == nil && p.clusterGone(ctx)
		}).Should(BeTrue())
		p.collect(ctx, backup)
		restored := &v1alpha1.OrderCluster{ObjectMeta: neutral(backup), Spec: backup.Spec}
		Expect(kube.Client.Create(ctx, restored)).To(Succeed())
		restored.Status = *backup.Status.DeepCopy()
		Expect(kube.Client.Status().Update(ctx, restored, client.FieldOwner("velero-server"))).To(Succeed())

		By("doing nothing by it while it cannot be forgotten")
		p.fault = only(request{"patch status", "OrderCluster", "shop"}, faultyAnswers["refusal"].err)
		p.applies()
		_, err := p.reconcile(ctx)
		Expect(err).To(MatchError(ContainSubstring("policy says no")))
		Expect(p.applies()).To(BeEmpty())
		p.fault = nil

		By("migrating before anything is rolled out")
		_, err = p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		c := p.getCluster(ctx)
		Expect(c.Status.UID).To(BeEquivalentTo(restored.UID))
		Expect(condition(c.Status.Conditions, v1alpha1.ConditionMigrated)).To(Equal("False/MigrationRunning"))
		Expect(condition(c.Status.Conditions, v1alpha1.ConditionReady)).To(HavePrefix("False/"))
		Expect(c.Status.Migration).To(BeZero())
		Expect(metav1.IsControlledBy(p.runningJob(ctx), restored)).To(BeTrue())
		_, err = p.deployment(ctx, v1alpha1.PoolStandard)
		Expect(client.IgnoreNotFound(err)).NotTo(HaveOccurred())
		Expect(err).To(HaveOccurred())

		ran := p.kubelet.jobs.Load()
		p.settle(ctx)
		Expect(p.kubelet.jobs.Load()).To(Equal(ran + 1))
		Expect(forgotten(strings.Join(p.told(), "\n"))).To(Equal(1))
	}, SpecTimeout(2*time.Minute))

	It("takes no promotion before its own status is known", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		c := s.getCluster(ctx)
		c.Status.UID = "8c5f5d0a-0000-4000-8000-000000000000"
		Expect(kube.Client.Status().Update(ctx, c)).To(Succeed())
		addSKU(ctx, s.pool, "phone", 1000)
		addSKU(ctx, s.pool, "case", 1000)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "ClusterReady")).To(Equal("False/NotMigrated"))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 1000}))
	}, SpecTimeout(time.Minute))
})
