package operator_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

var _ = Describe("An operator that ends between making a Deployment and scaling it", func() {
	It("leaves the next one to scale it, also where others do so from then on", func(ctx SpecContext) {
		p := newPlatform(ctx)
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Pools.Worker.Replicas.Min = ptr.To[int32](3)
			spec.Pools.Worker.Autoscaling = &v1alpha1.AutoscalingSpec{By: v1alpha1.ScalerOthers}
			spec.Pools.Flash.Replicas.Min = ptr.To[int32](2)
		})
		p.fault = func(r request) error {
			if r.verb == "patch" && r.kind == "Deployment" {
				return faultyAnswers["time-out"].err
			}
			return nil
		}
		Eventually(func() error {
			p.kubelet.step(ctx)
			_, _ = p.reconcile(ctx)
			_, err := p.deployment(ctx, "worker")
			return err
		}).Should(Succeed())
		Expect(p.replicas(ctx, "worker")()).To(BeEquivalentTo(1), "as Kubernetes makes it")
		for range 2 {
			_, err := p.reconcile(ctx)
			Expect(err).To(HaveOccurred())
		}

		By("the next one")
		p.fault = nil
		_, err := p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.replicas(ctx, "worker")()).To(BeEquivalentTo(3))
		Expect(p.replicas(ctx, "flash")()).To(BeEquivalentTo(2))

		By("leaving it alone from then on")
		d, err := p.deployment(ctx, "worker")
		Expect(err).NotTo(HaveOccurred())
		Expect(d.Annotations).NotTo(HaveKey("orderd.dev/unscaled"))
		d.Spec.Replicas = ptr.To[int32](1)
		Expect(kube.Client.Update(ctx, d)).To(Succeed())
		p.settle(ctx)
		Expect(p.replicas(ctx, "worker")()).To(BeEquivalentTo(1))
		p.applies()
		_, err = p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.applies()).To(BeEmpty())
	}, SpecTimeout(time.Minute))
})

var _ = Describe("An OrderCluster", func() {
	It("rolls no worker when there are to be more of them", func(ctx SpecContext) {
		p := newPlatform(ctx)
		p.settle(ctx)
		before, err := p.deployment(ctx, "worker")
		Expect(err).NotTo(HaveOccurred())
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Pools.Worker.Replicas.Min = ptr.To[int32](2) })
		p.applies()
		_, err = p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.applies()).To(BeEmpty(), "nothing but the scale changes")
		after, err := p.deployment(ctx, "worker")
		Expect(err).NotTo(HaveOccurred())
		Expect(*after.Spec.Replicas).To(BeEquivalentTo(2))
		after.Spec.Replicas = before.Spec.Replicas
		Expect(after.Spec).To(Equal(before.Spec))
	}, SpecTimeout(time.Minute))
})
