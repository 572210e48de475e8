package operator_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

var _ = Describe("A pool that is scaled", func() {
	It("has an autoscaler between min and max, whose number of pods is left alone", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		w.play()
		w.operate()
		c := makeCluster(w.namespace, w.nats.URL()).Obj()
		c.Spec.Pools.Standard = v1alpha1.PoolSpec{
			Replicas:    v1alpha1.PoolReplicas{Min: ptr.To[int32](2), Max: ptr.To[int32](6)},
			Autoscaling: &v1alpha1.AutoscalingSpec{CPUPercent: ptr.To[int32](60), RequestsInFlight: ptr.To[int32](50)},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
			},
		}
		c.Spec.Pools.Worker = v1alpha1.PoolSpec{
			Replicas:    v1alpha1.PoolReplicas{Min: ptr.To[int32](3)},
			Autoscaling: &v1alpha1.AutoscalingSpec{By: v1alpha1.ScalerOthers},
		}
		Expect(kube.Client.Create(ctx, c)).To(Succeed())
		w.upToDate(ctx)
		Expect(w.replicas(ctx, "standard")()).To(BeEquivalentTo(2))
		Expect(w.replicas(ctx, "worker")()).To(BeEquivalentTo(3))

		By("making it as the spec says")
		key := types.NamespacedName{Namespace: w.namespace, Name: "shop-standard"}
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		Expect(kube.Client.Get(ctx, key, hpa)).To(Succeed())
		Expect(*hpa.Spec.MinReplicas).To(BeEquivalentTo(2))
		Expect(hpa.Spec.MaxReplicas).To(BeEquivalentTo(6))
		Expect(hpa.Spec.ScaleTargetRef.Name).To(Equal("shop-standard"))
		Expect(*hpa.Spec.Metrics[0].Resource.Target.AverageUtilization).To(BeEquivalentTo(60))
		Expect(hpa.Spec.Metrics[1].Pods.Metric.Name).To(Equal("orderd_requests_in_flight"))
		Expect(hpa.Spec.Metrics[1].Pods.Target.AverageValue.Value()).To(BeEquivalentTo(50))

		By("leaving alone what they are scaled to")
		for pool, replicas := range map[string]int{"standard": 5, "worker": 8} {
			d, err := w.deployment(ctx, pool)
			Expect(err).NotTo(HaveOccurred())
			patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
			Expect(kube.Client.SubResource("scale").Patch(ctx, d,
				client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
		}
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Image = "orderd:next" })
		w.upToDate(ctx)
		Expect(w.replicas(ctx, "standard")()).To(BeEquivalentTo(5))
		Expect(w.replicas(ctx, "worker")()).To(BeEquivalentTo(8))
		status := w.getCluster(ctx).PoolStatusOf("worker")
		Expect(*status.Desired).To(BeEquivalentTo(8))

		By("taking back nothing that it has not heard of yet")
		for replicas := range 12 {
			d, err := w.deployment(ctx, "worker")
			Expect(err).NotTo(HaveOccurred())
			w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Auth.Audience = fmt.Sprint("shop-", replicas) })
			Expect(kube.Client.SubResource("scale").Patch(ctx, d, client.RawPatch(types.MergePatchType,
				fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, 8+replicas)))).To(Succeed())
			w.upToDate(ctx)
			Expect(w.replicas(ctx, "worker")()).To(BeEquivalentTo(8 + replicas))
		}

		By("taking it away, and the scale back, when max is gone")
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Pools.Standard.Replicas.Max = nil
			spec.Pools.Worker.Autoscaling = nil
		})
		Eventually(w.replicas(ctx, "standard")).Should(BeEquivalentTo(2))
		Eventually(w.replicas(ctx, "worker")).Should(BeEquivalentTo(3))
		Eventually(func() bool { return apierrors.IsNotFound(kube.Client.Get(ctx, key, hpa)) }).Should(BeTrue())
		w.upToDate(ctx)
	}, NodeTimeout(5*time.Minute))
})
