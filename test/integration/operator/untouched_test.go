package operator_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/sim/authority"
)

// touch changes what is written about an object, and nothing of what is in it.
func touch(ctx context.Context, namespace, name string, o client.Object) {
	GinkgoHelper()
	o.SetNamespace(namespace)
	o.SetName(name)
	patch := `{"metadata":{"annotations":{"example.com/x":"y"},"labels":{"example.com/backup":"nightly"}}}`
	Expect(kube.Client.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
}

// trusting is a ready OrderCluster that believes what a ConfigMap has, and pays through a provider with several keys.
func trusting(ctx context.Context) *platform {
	GinkgoHelper()
	p := newPlatform(ctx)
	ca, err := authority.New("the company's authority")
	Expect(err).NotTo(HaveOccurred())
	Expect(kube.Client.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "bundle"},
		Data:       map[string]string{"ca.crt": string(ca.PEM()), "README": "who signs what"},
	})).To(Succeed())
	p.secretOf(ctx, "stripe", map[string][]byte{"secret_key": []byte("sk_1"), "webhook_secret": []byte("whsec_1")})
	p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
		spec.Trust = &v1alpha1.TrustSpec{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "bundle", Key: "ca.crt"}}
		spec.Payments = append(spec.Payments, v1alpha1.PaymentSpec{
			Provider: "stripe", KeysSecretRef: &v1alpha1.SecretReference{Name: "stripe"},
			Settings: map[string]string{"publishableKey": "pk_1"},
		})
	})
	p.settle(ctx)
	return p
}

var _ = Describe("The pods of an OrderCluster, and its migration,", func() {
	DescribeTable("stay when only what is written about an object changes",
		func(ctx SpecContext, name string, o client.Object) {
			p := trusting(ctx)
			before, jobs := p.templates(ctx, "shop"), p.jobs(ctx)
			touch(ctx, p.namespace, name, o)
			for range 2 {
				_, err := p.reconcile(ctx)
				Expect(err).NotTo(HaveOccurred())
				p.kubelet.step(ctx)
			}
			Expect(p.rolled(ctx, before)()).To(BeEmpty())
			Expect(p.jobs(ctx)).To(Equal(jobs))
			Expect(p.clusterCondition(ctx, v1alpha1.ConditionReady)()).To(Equal("True/AllReady"))
			Expect(p.clusterCondition(ctx, v1alpha1.ConditionProgressing)()).To(Equal("False/Complete"))
		},
		Entry("the Secret of the database", SpecTimeout(3*time.Minute), "database", &corev1.Secret{}),
		Entry("the Secret of one key", SpecTimeout(3*time.Minute), "sandbox", &corev1.Secret{}),
		Entry("the Secret that is mounted as a whole", SpecTimeout(3*time.Minute), "stripe", &corev1.Secret{}),
		Entry("the operator's own Secret", SpecTimeout(3*time.Minute), "shop-keys", &corev1.Secret{}),
		Entry("the ConfigMap that is trusted", SpecTimeout(3*time.Minute), "bundle", &corev1.ConfigMap{}),
		Entry("the OrderCluster", SpecTimeout(3*time.Minute), "shop", &v1alpha1.OrderCluster{}),
		Entry("a Deployment", SpecTimeout(3*time.Minute), "shop-standard", &appsv1.Deployment{}),
		Entry("a Service", SpecTimeout(3*time.Minute), "shop-flash", &corev1.Service{}),
		Entry("a ServiceAccount", SpecTimeout(3*time.Minute), "shop-worker", &corev1.ServiceAccount{}),
	)

	DescribeTable("stay when what they do not read changes, and are replaced by what they do",
		func(ctx SpecContext, change func(context.Context, *platform), replaced ...string) {
			p := trusting(ctx)
			before, jobs := p.templates(ctx, "shop"), p.jobs(ctx)
			change(ctx, p)
			for range 2 {
				_, err := p.reconcile(ctx)
				Expect(err).NotTo(HaveOccurred())
				p.kubelet.step(ctx)
			}
			Expect(p.rolled(ctx, before)()).To(ConsistOf(replaced))
			Expect(p.jobs(ctx)).To(Equal(jobs), "no image and no database is another one")
		},
		Entry("another key of a Secret", SpecTimeout(3*time.Minute), func(ctx context.Context, p *platform) {
			p.secretOf(ctx, "sandbox", map[string][]byte{"key": []byte("not a secret"), "owner": []byte("payments")})
		}),
		Entry("another key of the ConfigMap that is trusted", SpecTimeout(3*time.Minute),
			func(ctx context.Context, p *platform) { p.rewrite(ctx, "README", "who signs what, and since when") }),
		Entry("a Secret that nobody names", SpecTimeout(3*time.Minute), func(ctx context.Context, p *platform) {
			p.secret(ctx, "other", "key", "value")
		}),
		Entry("the key of a Secret", SpecTimeout(3*time.Minute), func(ctx context.Context, p *platform) {
			p.secret(ctx, "sandbox", "key", "another")
		}, "standard", "worker"),
		Entry("a key of the Secret that is mounted as a whole", SpecTimeout(3*time.Minute),
			func(ctx context.Context, p *platform) {
				p.secretOf(ctx, "stripe", map[string][]byte{"secret_key": []byte("sk_2"), "webhook_secret": []byte("whsec_1")})
			}, "standard", "worker"),
		Entry("the certificates that are trusted", SpecTimeout(3*time.Minute), func(ctx context.Context, p *platform) {
			ca, err := authority.New("another authority")
			Expect(err).NotTo(HaveOccurred())
			p.rewrite(ctx, "ca.crt", string(ca.PEM()))
		}, "standard", "flash", "worker"),
	)
})

// rewrite a key of the ConfigMap that is trusted.
func (w *world) rewrite(ctx context.Context, key, value string) {
	GinkgoHelper()
	bundle := &corev1.ConfigMap{}
	Expect(kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: "bundle"}, bundle)).To(Succeed())
	bundle.Data[key] = value
	Expect(kube.Client.Update(ctx, bundle)).To(Succeed())
}
