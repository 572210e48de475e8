package operator_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// scaleTo is what an autoscaler does.
func (w *world) scaleTo(ctx context.Context, pool string, replicas int32) {
	GinkgoHelper()
	d, err := w.deployment(ctx, pool)
	Expect(err).NotTo(HaveOccurred())
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
	Expect(kube.Client.SubResource("scale").Patch(ctx, d, client.RawPatch(types.MergePatchType, []byte(patch)))).To(
		Succeed())
}

var _ = Describe("An autoscaler that somebody else made", func() {
	DescribeTable("decides how many pods its pool has, though the spec does not say so",
		func(ctx SpecContext, pool string) {
			p := newPlatform(ctx)
			p.settle(ctx)
			hpa := &autoscalingv2.HorizontalPodAutoscaler{
				ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "ours"},
				Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
					MinReplicas: ptr.To[int32](4), MaxReplicas: 9,
					ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
						APIVersion: "apps/v1", Kind: "Deployment", Name: "shop-" + pool,
					},
				},
			}
			Expect(kube.Client.Create(ctx, hpa)).To(Succeed())
			p.scaleTo(ctx, pool, 4)
			for range 2 {
				_, err := p.reconcile(ctx)
				Expect(err).NotTo(HaveOccurred())
			}
			Expect(p.replicas(ctx, pool)()).To(BeEquivalentTo(4))
			Expect(*p.getCluster(ctx).PoolStatusOf(pool).Desired).To(BeEquivalentTo(4))
			p.settle(ctx)

			By("also over a new image and another min")
			p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
				spec.Image, spec.Pools.Standard.Replicas.Min = "orderd:next", ptr.To[int32](2)
				spec.Pools.Worker.Replicas.Min = ptr.To[int32](2)
			})
			p.settle(ctx)
			Expect(p.replicas(ctx, pool)()).To(BeEquivalentTo(4))

			By("until it is gone")
			Expect(kube.Client.Delete(ctx, hpa)).To(Succeed())
			p.settle(ctx)
			Expect(p.replicas(ctx, pool)()).To(BeEquivalentTo(2))
		},
		Entry("standard", SpecTimeout(3*time.Minute), "standard"),
		Entry("worker", SpecTimeout(3*time.Minute), "worker"),
	)

	DescribeTable("decides nothing that is not its own", func(ctx SpecContext, pool, target string) {
		p := newPlatform(ctx)
		p.settle(ctx)
		Expect(kube.Client.Create(ctx, &autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "ours"},
			Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				MaxReplicas: 9,
				ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
					APIVersion: "apps/v1", Kind: "Deployment", Name: target,
				},
			},
		})).To(Succeed())
		p.scaleTo(ctx, pool, 4)
		_, err := p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.replicas(ctx, pool)()).To(BeEquivalentTo(1))
	},
		Entry("another pool", SpecTimeout(3*time.Minute), "standard", "shop-worker"),
		Entry("somebody else's Deployment", SpecTimeout(3*time.Minute), "standard", "blog"),
		Entry("the flash pool, which is scaled for its promotions", SpecTimeout(3*time.Minute), "flash", "shop-flash"),
	)
})

var _ = Describe("A pool's ServiceAccount", func() {
	It("goes with the last pod that ran as it once the spec names another, and comes back", func(ctx SpecContext) {
		w, k := readyWorld(ctx)
		key := types.NamespacedName{Namespace: w.namespace, Name: "shop-worker"}
		there := func() bool {
			err := kube.Client.Get(ctx, key, &corev1.ServiceAccount{})
			Expect(client.IgnoreNotFound(err)).To(Succeed())
			return !apierrors.IsNotFound(err)
		}
		Expect(there()).To(BeTrue())
		k.holdPods.Store(true)
		before := w.templates(ctx, "shop")
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Pools.Worker.Pod.ServiceAccount.Name = "in-the-cloud"
		})
		Eventually(w.rolled(ctx, before)).Should(Equal([]string{"worker"}))
		Expect(there()).To(BeTrue(), "pods still run as it")
		k.holdPods.Store(false)
		Eventually(there).Should(BeFalse())
		w.upToDate(ctx)
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Pools.Worker.Pod.ServiceAccount.Name = ""
		})
		Eventually(there).Should(BeTrue())
		w.upToDate(ctx)
	}, SpecTimeout(2*time.Minute))
})

var _ = Describe("What somebody changes of the operator's objects", func() {
	DescribeTable("is put right within seconds", func(
		ctx SpecContext, name string, o client.Object, patch string, back func() bool,
	) {
		w, _ := readyWorld(ctx)
		o.SetNamespace(w.namespace)
		o.SetName(name)
		Expect(kube.Client.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
		Expect(back()).To(BeFalse())
		Eventually(func() bool {
			Expect(kube.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
			return back()
		}, seconds).Should(BeTrue())
	},
		entryOf("a Service's selector", "shop-standard", &corev1.Service{},
			`{"spec":{"selector":{"app.kubernetes.io/component":"blog"}}}`,
			func(s *corev1.Service) bool { return s.Spec.Selector["app.kubernetes.io/component"] == "standard" }),
		entryOf("a ServiceAccount's token", "shop-standard", &corev1.ServiceAccount{},
			`{"automountServiceAccountToken":true}`,
			func(a *corev1.ServiceAccount) bool { return !*a.AutomountServiceAccountToken }),
		entryOf("a PodDisruptionBudget's labels", "shop-standard", &policyv1.PodDisruptionBudget{},
			`{"metadata":{"labels":{"app.kubernetes.io/instance":"blog"}}}`, ownLabel[*policyv1.PodDisruptionBudget]),
		entryOf("the labels of the Secret of its keys", "shop-keys", &corev1.Secret{},
			`{"metadata":{"labels":{"app.kubernetes.io/instance":"blog"}}}`, ownLabel[*corev1.Secret]),
	)
})

// entryOf is an entry whose object is looked at as what it is.
func entryOf[T client.Object](what, name string, o T, patch string, back func(T) bool) TableEntry {
	return Entry(what, SpecTimeout(3*time.Minute), name, o, patch, func() bool { return back(o) })
}

func ownLabel[T client.Object](o T) bool {
	return o.GetLabels()["app.kubernetes.io/instance"] == "shop"
}
