package operator_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
)

var _ = Describe("The chart's scaler", func() {
	It("is off unless it is wanted", func(ctx SpecContext) {
		all, err := render(ctx)
		Expect(err).NotTo(HaveOccurred())
		for _, u := range all {
			Expect(u.GetKind()).NotTo(Equal("NetworkPolicy"))
			Expect(u.GetName()).NotTo(ContainSubstring("scaler"))
		}
	}, SpecTimeout(time.Minute))

	It("is reached by KEDA alone, and shows a certificate", func(ctx SpecContext) {
		system, named := newNamespace(ctx), "watchNamespaces={"+newNamespace(ctx)+"}"
		install(ctx, system, "orderd", named, "scaler.enabled=true", "scaler.tlsSecret=scaler")

		service := &corev1.Service{}
		key := types.NamespacedName{Namespace: system, Name: "orderd-operator-scaler"}
		Expect(kube.Client.Get(ctx, key, service)).To(Succeed())
		Expect(*service.Spec.IPFamilyPolicy).To(Equal(corev1.IPFamilyPolicyPreferDualStack))
		key.Name = "orderd-operator"
		d := &appsv1.Deployment{}
		Expect(kube.Client.Get(ctx, key, d)).To(Succeed())
		Expect(d.Spec.Template.Spec.Containers[0].Args).To(ContainElements(
			"--scaler-address=:9090", "--scaler-certificate-dir=/etc/orderd-operator/scaler"))
		Expect(d.Spec.Template.Spec.Volumes[0].Secret.SecretName).To(Equal("scaler"))
		policy := &networkingv1.NetworkPolicy{}
		Expect(kube.Client.Get(ctx, key, policy)).To(Succeed())
		for _, rule := range policy.Spec.Ingress {
			for _, port := range rule.Ports {
				Expect(len(rule.From) > 0).To(Equal(port.Port.StrVal == "scaler"), port.Port.StrVal)
			}
		}
		Expect(policy.Spec.PodSelector.MatchLabels).To(Equal(d.Spec.Selector.MatchLabels))
	}, SpecTimeout(time.Minute))
})
