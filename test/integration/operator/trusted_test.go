package operator_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/run"
	"github.com/orderd-dev/orderd/orderd/sim/authority"
)

var _ = Describe("An OrderCluster whose servers are signed by an authority of its own", func() {
	It("believes it from a Secret, beside others, and notices when it is taken away", func(ctx SpecContext) {
		w := newSecuredWorld(ctx)
		w.play()
		w.operate()
		other, err := authority.New("the authority after this one")
		Expect(err).NotTo(HaveOccurred())
		w.secret(ctx, "authority", "ca.crt", string(other.PEM())+string(w.ca.PEM()))
		c := w.cluster()
		c.Spec.Database.CASecretRef, c.Spec.Messaging.CASecretRef = nil, nil
		c.Spec.Trust = &v1alpha1.TrustSpec{SecretRef: &v1alpha1.SecretKeyReference{Name: "authority", Key: "ca.crt"}}
		Expect(kube.Client.Create(ctx, c)).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))

		By("giving it to every pod, whatever that connects to, and to the migration")
		job := w.allJobs(ctx)[0]
		specs := map[string]corev1.PodSpec{"migration": job.Spec.Template.Spec}
		for _, pool := range []string{"standard", "flash", "worker"} {
			d, err := w.deployment(ctx, pool)
			Expect(err).NotTo(HaveOccurred())
			specs[pool] = d.Spec.Template.Spec
		}
		for name, spec := range specs {
			Expect(spec.Containers[0].Env).To(ContainElement(
				// The public authorities are in the image's folder.
				corev1.EnvVar{Name: "SSL_CERT_DIR", Value: "/etc/ssl/certs:/etc/orderd/trust"}), name)
			Expect(mountsOf(spec)).To(ContainElement("/etc/orderd/trust"), name)
		}

		By("no longer believing it")
		w.secret(ctx, "authority", "ca.crt", string(other.PEM()))
		for _, kind := range []string{v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionMessagingReady} {
			Eventually(w.clusterCondition(ctx, kind)).Should(Equal("False/Unreachable"))
			Expect(w.clusterMessage(ctx, kind)()).To(ContainSubstring("certificate is not believed"))
		}
		w.secret(ctx, "authority", "ca.crt", string(w.ca.PEM()))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
	}, NodeTimeout(5*time.Minute))
})

func mountsOf(spec corev1.PodSpec) []string {
	var paths []string
	for _, m := range spec.Containers[0].VolumeMounts {
		paths = append(paths, m.MountPath)
	}
	return paths
}

var _ = Describe("Two OrderClusters of one name in two namespaces", func() {
	It("are told apart on one NATS account, however its URL is spelled", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		second, _ := migratedWorld(ctx, time.Now)
		second.nats, second.js = w.nats, w.js
		w.play()
		second.play()
		background(func(ctx context.Context) error {
			return run.Run(ctx, run.Options{
				Config: operatorConfig, MetricsAddress: "0", HealthAddress: "0",
				Watched: []string{w.namespace, second.namespace}, Clock: time.Now, Log: w.log,
			})
		})
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))

		Expect(kube.Client.Create(ctx, makeCluster(second.namespace, second.nats.URL()+","+second.nats.URL()).Obj())).To(
			Succeed())
		Eventually(second.clusterCondition(ctx, v1alpha1.ConditionMessagingReady)).Should(Equal("False/AccountInUse"))
		Expect(second.clusterMessage(ctx, v1alpha1.ConditionMessagingReady)()).To(
			ContainSubstring("in use by OrderCluster " + w.namespace + "/shop"))
		Eventually(second.clusterCondition(ctx, v1alpha1.ConditionStalled)).Should(Equal("True/AccountInUse"))
		_, err := second.deployment(ctx, "worker")
		Expect(err).To(HaveOccurred(), "its worker would take the first one's orders")
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionReady)()).To(Equal("True/AllReady"))

		By("deleting the first")
		Expect(kube.Client.Delete(ctx, w.getCluster(ctx))).To(Succeed())
		Eventually(second.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
	}, NodeTimeout(3*time.Minute))
})
