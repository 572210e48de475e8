package operator_test

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/promotionevent"
)

// frozen are backends whose process is frozen when it asks for JetStream, until it thaws.
type frozen struct {
	promotionevent.Backends
	once         sync.Once
	asked, thawn chan struct{}
}

func (f *frozen) JetStream(ctx context.Context, c *v1alpha1.OrderCluster) (jetstream.JetStream, error) {
	f.once.Do(func() { close(f.asked) })
	<-f.thawn
	return f.Backends.JetStream(ctx, c)
}

var _ = Describe("An operator that was frozen after it had read a promotion", func() {
	It("does not take back what another one told the pods meanwhile", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		uid, generation := string(s.getPromotion(ctx).UID), s.getPromotion(ctx).Generation
		Expect(s.published(ctx, uid).GetGeneration()).To(Equal(generation))

		old := &frozen{Backends: s.reconciler.Backends, asked: make(chan struct{}), thawn: make(chan struct{})}
		thaw := sync.OnceFunc(func() { close(old.thawn) })
		DeferCleanup(thaw)
		former := &promotionevent.Reconciler{
			Client: kube.Client, Reader: kube.Client, Recorder: s.recorder, Backends: old, Clock: s.clock.Now, Log: s.log,
			ServerTime: s.reconciler.ServerTime,
		}
		ended := make(chan time.Duration, 1)
		go func() {
			defer GinkgoRecover()
			result, err := former.Reconcile(ctx,
				ctrl.Request{NamespacedName: types.NamespacedName{Namespace: s.namespace, Name: "singles-day"}})
			Expect(err).NotTo(HaveOccurred())
			ended <- result.RequeueAfter
		}()
		Eventually(old.asked).Should(BeClosed())

		extended := s.end.Add(time.Hour)
		s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.EndTime = metav1.NewTime(extended) })
		s.reconcile(ctx)
		Expect(s.published(ctx, uid).GetEndUnixMs()).To(Equal(extended.UnixMilli()))
		s.events()
		thaw()
		Eventually(ended).Should(Receive(BeNumerically("<", time.Second)), "it looks again at once")
		Expect(s.published(ctx, uid).GetEndUnixMs()).To(Equal(extended.UnixMilli()))
		Expect(s.published(ctx, uid).GetGeneration()).To(Equal(generation + 1))
		Expect(s.events()).To(BeEmpty(), "it is nobody's trouble")
		Expect(s.getPromotion(ctx).Status.Phase).To(Equal(v1alpha1.PhaseLive))
		Expect(condition(s.conditions(ctx), "Stalled")).To(Equal("False/AsExpected"))
	}, SpecTimeout(2*time.Minute))
})

var _ = Describe("Two promotions that need more flash pods than there may be", func() {
	It("are admitted in order: the second one is stalled, alone", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		addSKU(ctx, s.pool, "tablet", 100)
		second := s.promotion().Named("second").Items(manyItems(1)...).Obj()
		second.Spec.Items[0].SKU, second.Spec.Items[0].Stock = "tablet", 10
		second.Spec.StartTime = metav1.NewTime(s.start.Add(time.Minute))
		Expect(kube.Client.Create(ctx, second)).To(Succeed())
		both := func() (first, second []metav1.Condition) {
			GinkgoHelper()
			for _, name := range []string{"singles-day", "second"} {
				Eventually(func() (time.Duration, error) {
					result, err := s.reconciler.Reconcile(ctx,
						ctrl.Request{NamespacedName: types.NamespacedName{Namespace: s.namespace, Name: name}})
					return result.RequeueAfter, err
				}).Should(BeNumerically(">", time.Second))
			}
			return s.conditions(ctx), s.named(ctx, "second").Status.Conditions
		}
		// Each needs three, and four are allowed: the OrderCluster has all four.
		for _, available := range []int32{3, 4} {
			s.flashPods(ctx, available)
			first, then := both()
			Expect(condition(first, "Ready")).To(Equal("True/Selling"))
			Expect(condition(first, "FlashPoolReady")).To(Equal("True/Available"))
			Expect(condition(first, "Stalled")).To(Equal("False/AsExpected"))
			Expect(condition(then, "FlashPoolReady")).To(Equal("False/MaxReplicasReached"))
			Expect(message(then, "FlashPoolReady")).To(
				ContainSubstring("needs 3 flash pods, the sales admitted before it need 3"))
			Expect(condition(then, "Stalled")).To(Equal("True/MaxReplicasReached"))
		}

		By("allowing as many as both need")
		s.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { *spec.Pools.Flash.Replicas.Max = 6 })
		s.flashPods(ctx, 4)
		first, then := both()
		Expect(condition(first, "Ready")).To(Equal("True/Selling"), "the first one has its own")
		Expect(condition(then, "FlashPoolReady")).To(Equal("False/Scaling"))
		Expect(message(then, "FlashPoolReady")).To(Equal("4 of 6 flash pods are available"))
		s.flashPods(ctx, 6)
		_, then = both()
		Expect(condition(then, "Ready")).To(Equal("True/ReadyToStart"))

		By("losing pods, which the later one feels first")
		s.flashPods(ctx, 5)
		first, then = both()
		Expect(condition(first, "Ready")).To(Equal("True/Selling"))
		Expect(condition(then, "Ready")).To(Equal("False/Provisioning"))
	}, SpecTimeout(2*time.Minute))
})
