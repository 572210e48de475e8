package operator_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// allow no more than this in a namespace, as its quota.
func (w *world) allow(ctx context.Context, hard corev1.ResourceList) {
	GinkgoHelper()
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "team"}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
	}
	Expect(kube.Client.Create(ctx, quota)).To(Succeed())
	// Its controller would note these: without it nothing is used yet.
	used := corev1.ResourceList{}
	for name := range hard {
		used[name] = resource.MustParse("0")
	}
	quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: used}
	Expect(kube.Client.Status().Update(ctx, quota)).To(Succeed())
	// The API server goes by its own cache.
	Eventually(func() error {
		return kube.Client.Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "greedy"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a", Resources: much()}}},
		}, client.DryRunAll)
	}).Should(MatchError(ContainSubstring("exceeded quota")))
}

// much is more than any quota here allows.
func much() corev1.ResourceRequirements {
	list := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("100"), corev1.ResourceMemory: resource.MustParse("100Gi"),
	}
	return corev1.ResourceRequirements{Requests: list, Limits: list}
}

// podOf makes one of a template, as the controller of its owner would.
func (w *world) podOf(ctx context.Context, template corev1.PodTemplateSpec) error {
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.GenerateName = w.namespace, "pod-"
	return kube.Client.Create(ctx, pod)
}

// frugal is a pool that a quota has room for, on tainted nodes of its own, from a private registry.
func frugal() v1alpha1.PoolSpec {
	list := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi"),
	}
	return v1alpha1.PoolSpec{
		Resources:    corev1.ResourceRequirements{Requests: list, Limits: list},
		NodeSelector: map[string]v1alpha1.NodeLabelValue{"example.com/lane": "shop"},
		Tolerations: []corev1.Toleration{{
			Key: "lane", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
		}},
		Pod: v1alpha1.PodSpec{
			ImagePullSecrets: []v1alpha1.SecretReference{{Name: "registry"}}, PriorityClassName: "system-cluster-critical",
		},
	}
}

var _ = DescribeTable("Every pod of an OrderCluster, the migration's too, is one that its namespace takes",
	func(ctx SpecContext, hard corev1.ResourceList) {
		p := newPlatform(ctx)
		p.allow(ctx, hard)
		Expect(kube.Client.Create(ctx, &corev1.ServiceAccount{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "default"},
		})).To(Succeed())
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			capacity, replicas := spec.Pools.Flash.CapacityRPS, spec.Pools.Flash.Replicas
			spec.Pools = v1alpha1.PoolsSpec{Standard: frugal(), Flash: frugal(), Worker: frugal()}
			spec.Pools.Flash.CapacityRPS, spec.Pools.Flash.Replicas = capacity, replicas
		})
		_, err := p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		job := p.allJobs(ctx)[0]
		Expect(p.podOf(ctx, job.Spec.Template)).To(Succeed())
		p.settle(ctx)
		templates := map[string]corev1.PodTemplateSpec{"the migration": job.Spec.Template}
		var deployments appsv1.DeploymentList
		Expect(kube.Client.List(ctx, &deployments, client.InNamespace(p.namespace))).To(Succeed())
		Expect(deployments.Items).To(HaveLen(3))
		for i := range deployments.Items {
			template := deployments.Items[i].Spec.Template
			templates[deployments.Items[i].Name] = template
			Expect(p.podOf(ctx, template)).To(Succeed())
		}
		for name, template := range templates {
			Expect(template.Spec.NodeSelector).To(Equal(map[string]string{"example.com/lane": "shop"}), name)
			Expect(template.Spec.Tolerations).To(Equal(frugal().Tolerations), name)
			Expect(template.Spec.ImagePullSecrets).To(Equal([]corev1.LocalObjectReference{{Name: "registry"}}), name)
			Expect(template.Spec.PriorityClassName).To(Equal("system-cluster-critical"), name)
			for i := range template.Spec.Containers {
				Expect(template.Spec.Containers[i].Resources).To(Equal(frugal().Resources), name)
			}
		}
	},
	Entry("with a quota of memory", SpecTimeout(3*time.Minute), corev1.ResourceList{
		corev1.ResourceLimitsMemory: resource.MustParse("1Gi"), corev1.ResourceRequestsMemory: resource.MustParse("1Gi"),
	}),
	Entry("with a quota of processors", SpecTimeout(3*time.Minute), corev1.ResourceList{
		corev1.ResourceLimitsCPU: resource.MustParse("1"), corev1.ResourceRequestsCPU: resource.MustParse("1"),
	}),
	Entry("with a quota of pods and all else", SpecTimeout(3*time.Minute), corev1.ResourceList{
		corev1.ResourcePods: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("512Mi"),
		corev1.ResourceCPU: resource.MustParse("400m"), corev1.ResourceLimitsMemory: resource.MustParse("512Mi"),
	}),
)
