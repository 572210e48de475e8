package operator_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// seconds is how soon the status says what is wrong.
const seconds = 10 * time.Second

// readyWorld has an operator, and an OrderCluster that is ready.
func readyWorld(ctx context.Context) (*world, *kubelet) {
	GinkgoHelper()
	w, _ := migratedWorld(ctx, time.Now)
	k := w.play()
	w.operate()
	Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
	Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
	return w, k
}

// notes are the notes of the events of the reason.
func (w *world) notes(ctx context.Context, reason string) []string {
	GinkgoHelper()
	var list eventsv1.EventList
	Expect(kube.Client.List(ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
	var notes []string
	for _, e := range list.Items {
		if e.Reason == reason {
			notes = append(notes, e.Note)
		}
	}
	return notes
}

// deny lets nobody write a Deployment of the name in the namespace, in the words of an admission policy, until the
// function that it returns is called.
func deny(ctx context.Context, namespace, name, words string) (allow func()) {
	GinkgoHelper()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace + "-" + name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: ptr.To(admissionv1.Fail),
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{
					RuleWithOperations: admissionv1.RuleWithOperations{
						Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
						Rule: admissionv1.Rule{
							APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"},
						},
					},
				}},
			},
			Validations: []admissionv1.Validation{{Expression: "object.metadata.name != '" + name + "'", Message: words}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	Expect(kube.Client.Create(ctx, policy)).To(Succeed())
	Expect(kube.Client.Create(ctx, binding)).To(Succeed())
	allow = func() {
		for _, o := range []client.Object{binding, policy} {
			Expect(client.IgnoreNotFound(kube.Client.Delete(context.WithoutCancel(ctx), o))).To(Succeed())
		}
	}
	DeferCleanup(allow)
	labels := map[string]string{"a": "b"}
	probe := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
			},
		},
	}
	Eventually(func() error {
		return kube.Client.Create(ctx, probe.DeepCopy(), client.DryRunAll)
	}).Should(MatchError(ContainSubstring(words)))
	return allow
}

var _ = Describe("What the API server refuses", func() {
	It("is in the conditions in its own words, and the other pools go on", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		Expect(w.getCluster(ctx).Status.ObservedGeneration).To(Equal(w.getCluster(ctx).Generation))
		Expect(condition(w.getCluster(ctx).Status.Conditions, v1alpha1.ConditionApplied)).To(Equal("True/Applied"))

		By("refusing requests that are more than the limits, for one pool")
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Pools.Standard.Resources = corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")},
				Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
			}
			spec.Pools.Flash.Replicas.Min, spec.Pools.Worker.Replicas.Min = ptr.To[int32](2), ptr.To[int32](2)
		})
		const words = "must be less than or equal to cpu limit"
		Eventually(w.clusterMessage(ctx, v1alpha1.ConditionApplied), seconds).Should(
			And(ContainSubstring("Deployment shop-standard"), ContainSubstring(words)))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady), seconds).Should(Equal("False/ApplyRefused"))
		Expect(w.clusterMessage(ctx, v1alpha1.ConditionReady)()).To(ContainSubstring(words))
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("True/ApplyRefused"))
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionReconciling)()).To(Equal("False/AsExpected"))
		c := w.getCluster(ctx)
		Expect(c.Status.ObservedGeneration).To(BeNumerically("<", c.Generation), "not all of this generation is applied")
		for _, pool := range []string{"flash", "worker"} {
			Eventually(w.replicas(ctx, pool), seconds).Should(Equal(int32(2)), pool)
		}
		Eventually(func() []string { return w.notes(ctx, "ApplyRefused") }, seconds).Should(
			ConsistOf(ContainSubstring(words)), "one event, however often it is tried")

		By("being as the spec asks for once that is possible")
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Pools.Standard.Resources = corev1.ResourceRequirements{}
		})
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("False/AsExpected"))
		Eventually(func() int64 { return w.getCluster(ctx).Status.ObservedGeneration }).Should(
			Equal(w.getCluster(ctx).Generation))
		Expect(w.notes(ctx, "ApplyRefused")).To(HaveLen(1))
	}, SpecTimeout(2*time.Minute))

	It("an admission policy's words are told, and it is tried again by itself", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		const words = "flash pools are made on Mondays"
		allow := deny(ctx, w.namespace, "shop-flash", words)
		w.play()
		w.operate()
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionApplied)).Should(Equal("False/ApplyRefused"))
		Expect(w.clusterMessage(ctx, v1alpha1.ConditionApplied)()).To(ContainSubstring(words))
		Eventually(w.replicas(ctx, "worker"), seconds).Should(Equal(int32(1)), "the pool after the refused one")
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionStalled), seconds).Should(Equal("True/ApplyRefused"))
		Expect(w.getCluster(ctx).Status.ObservedGeneration).To(BeZero())
		Eventually(func() []string { return w.notes(ctx, "ApplyRefused") }, seconds).Should(
			ConsistOf(ContainSubstring(words)))
		allow()
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
	}, SpecTimeout(2*time.Minute))
})

var _ = Describe("Pods that do not start", func() {
	It("are explained within seconds, in Kubernetes' own words", func(ctx SpecContext) {
		w, k := readyWorld(ctx)
		k.holdPods.Store(true)
		w.unavailable(ctx, "flash")
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady), seconds).Should(Equal("False/PoolsNotReady"))
		d, err := w.deployment(ctx, "flash")
		Expect(err).NotTo(HaveOccurred())

		By("an image that cannot be pulled")
		const pulling = `Back-off pulling image "orderd:nxt": ErrImagePull: manifest unknown`
		pod := w.pod(ctx, "shop-flash-a", d, d.Spec.Template.Labels, waitingPod("ImagePullBackOff", pulling))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady), seconds).Should(Equal("False/ImagePullBackOff"))
		Expect(w.clusterMessage(ctx, v1alpha1.ConditionReady)()).To(And(
			ContainSubstring("flash: ImagePullBackOff, pod shop-flash-a"), ContainSubstring("manifest unknown")))
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("True/ImagePullBackOff"))
		w.podStatus(ctx, pod, waitingPod("ErrImagePull", "manifest unknown, the second time"))
		Eventually(w.clusterMessage(ctx, v1alpha1.ConditionReady), seconds).Should(ContainSubstring("the second time"))
		Eventually(func() []string { return w.notes(ctx, "ImagePullBackOff") }, seconds).Should(
			ConsistOf(ContainSubstring("manifest unknown")), "one event for one trouble")

		By("a container that crashes")
		status := waitingPod("CrashLoopBackOff", "back-off 10s restarting failed container=orderd")
		status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: 1, Reason: "Error", Message: "auth.jwksURL: x509: certificate signed by unknown authority",
		}
		w.podStatus(ctx, pod, status)
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady), seconds).Should(Equal("False/CrashLoopBackOff"))
		Expect(w.clusterMessage(ctx, v1alpha1.ConditionReady)()).To(ContainSubstring("signed by unknown authority"))

		By("no node that takes it")
		w.podStatus(ctx, pod, corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
			Message: "0/3 nodes are available: 3 Insufficient cpu.",
		}}})
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady), seconds).Should(Equal("False/Unschedulable"))
		Expect(w.clusterMessage(ctx, v1alpha1.ConditionReady)()).To(ContainSubstring("3 Insufficient cpu"))
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("False/AsExpected"), "a node may come")
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionReconciling)()).To(Equal("True/Unschedulable"))

		By("a quota that refuses it")
		Expect(kube.Client.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
		const quota = `pods "shop-flash-b" is forbidden: exceeded quota: small, requested: pods=1, used: pods=3`
		w.unavailable(ctx, "flash", appsv1.DeploymentCondition{
			Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: quota,
		})
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady), seconds).Should(Equal("False/FailedCreate"))
		Expect(w.clusterMessage(ctx, v1alpha1.ConditionReady)()).To(ContainSubstring("exceeded quota: small"))
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("True/FailedCreate"))

		By("and nothing is wrong any more")
		k.holdPods.Store(false)
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("False/AsExpected"))
	}, SpecTimeout(2*time.Minute))
})

var _ = Describe("An OrderCluster's pods", func() {
	It("are left alone while a Secret that they need is missing", func(ctx SpecContext) {
		w, _ := readyWorld(ctx)
		worker, err := w.deployment(ctx, "worker")
		Expect(err).NotTo(HaveOccurred())
		Expect(worker.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue()).To(BeZero(), "a roll takes no worker away")
		Expect(kube.Client.Delete(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "sandbox"},
		})).To(Succeed())
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Image, spec.Pools.Flash.Replicas.Min = "orderd:next", ptr.To[int32](2)
		})
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionApplied), seconds).Should(Equal("False/SecretNotFound"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady), seconds).Should(Equal("False/SecretNotFound"))
		Expect(w.clusterMessage(ctx, v1alpha1.ConditionReady)()).To(ContainSubstring("Secret sandbox does not exist"))
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("True/SecretNotFound"))
		Eventually(w.replicas(ctx, "flash"), seconds).Should(Equal(int32(2)), "how many there are is kept up")
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionMigrated)).Should(Equal("True/Migrated"))
		Eventually(func() []string { return w.notes(ctx, "SecretNotFound") }, seconds).Should(HaveLen(1))

		By("a Secret without the key that is mounted")
		w.secret(ctx, "sandbox", "another", "not a secret")
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionApplied), seconds).Should(Equal("False/SecretKeyMissing"))
		images := func() []string {
			var all []string
			for _, pool := range []string{"standard", "flash", "worker"} {
				d, err := w.deployment(ctx, pool)
				Expect(err).NotTo(HaveOccurred())
				all = append(all, d.Spec.Template.Spec.Containers[0].Image)
			}
			return all
		}
		Expect(images()).To(HaveEach("orderd:test"))
		c := w.getCluster(ctx)
		Expect(c.Status.ObservedGeneration).To(BeNumerically("<", c.Generation))

		By("rolling once it has it")
		w.secret(ctx, "sandbox", "key", "not a secret")
		Eventually(images).Should(HaveEach("orderd:next"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
	}, SpecTimeout(2*time.Minute))

	It("are watched while it is paused, and what is not done is said", func(ctx SpecContext) {
		w, k := readyWorld(ctx)
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Paused = ptr.To(true) })
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/Paused"))
		observed := func() bool {
			c := w.getCluster(ctx)
			return c.Status.ObservedGeneration == c.Generation
		}
		Eventually(observed).Should(BeTrue(), "nothing but paused was changed")
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionReady)()).To(Equal("True/AllReady"))
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionReconciling)()).To(Equal("False/Paused"))

		By("pods that are gone")
		k.holdPods.Store(true)
		w.unavailable(ctx, "standard")
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady), seconds).Should(Equal("False/PoolsNotReady"))
		Eventually(func() int32 {
			return *w.getCluster(ctx).PoolStatusOf(v1alpha1.PoolStandard).Available
		}, seconds).Should(BeZero())
		k.holdPods.Store(false)
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady), seconds).Should(Equal("True/AllReady"))

		By("a backend that is gone")
		w.secret(ctx, "database", "url", stranger(w.databaseURL).String())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionDatabaseReady), seconds).Should(Equal("False/AccessDenied"))
		w.secret(ctx, "database", "url", w.databaseURL)
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionDatabaseReady)).Should(Equal("True/Connected"))

		By("a spec that is not applied")
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Pools.Flash.NodeSelector = map[string]v1alpha1.NodeLabelValue{"shop.example/lane": "flash"}
		})
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady), seconds).Should(Equal("Unknown/Paused"))
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionApplied)()).To(Equal("Unknown/Paused"))
		Expect(observed()).To(BeFalse())
		flash, err := w.deployment(ctx, "flash")
		Expect(err).NotTo(HaveOccurred())
		Expect(flash.Spec.Template.Spec.NodeSelector).To(BeEmpty())
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Paused = nil })
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		Eventually(observed).Should(BeTrue())
	}, SpecTimeout(2*time.Minute))
})

var _ = Describe("An object that somebody else made", func() {
	It("is left as it is, and said, and the other pools go on", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		foreign := []client.Object{
			&corev1.Service{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: w.namespace, Name: "shop-standard", Labels: map[string]string{"app": "blog"},
				},
				Spec: corev1.ServiceSpec{
					Selector: map[string]string{"app": "blog"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
				},
			},
			// One that is labelled as the operator's own.
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
				Namespace: w.namespace, Name: "shop-standard",
				Labels: map[string]string{"app.kubernetes.io/managed-by": "orderd-operator", "app": "blog"},
			}},
			&corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "shop-keys"},
				Data:       map[string][]byte{"order-id-key": []byte("the blog's own, not an id key")},
			},
		}
		for _, o := range foreign {
			Expect(kube.Client.Create(ctx, o)).To(Succeed())
		}
		w.play()
		w.operate()
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionApplied)).Should(Equal("False/NameTaken"))
		Eventually(w.clusterMessage(ctx, v1alpha1.ConditionApplied)).Should(ContainSubstring("Secret shop-keys"))
		Expect(w.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("True/NameTaken"))
		Expect(kube.Client.Delete(ctx, foreign[2])).To(Succeed())
		Eventually(w.clusterMessage(ctx, v1alpha1.ConditionApplied)).Should(And(
			ContainSubstring("Service shop-standard"), ContainSubstring("ServiceAccount shop-standard")))
		for _, pool := range []string{"flash", "worker"} {
			Eventually(w.replicas(ctx, pool)).Should(Equal(int32(1)), pool)
		}
		for _, o := range foreign[:2] {
			found := o.DeepCopyObject().(client.Object)
			Expect(kube.Client.Get(ctx, client.ObjectKeyFromObject(o), found)).To(Succeed())
			Expect(found.GetResourceVersion()).To(Equal(o.GetResourceVersion()), "%T was written", o)
		}
		Eventually(func() []string { return w.notes(ctx, "NameTaken") }).Should(ConsistOf(
			ContainSubstring("Secret shop-keys"), ContainSubstring("Service shop-standard"),
			ContainSubstring("ServiceAccount shop-standard")))
		for _, o := range foreign[:2] {
			Expect(kube.Client.Delete(ctx, o)).To(Succeed())
		}
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
	}, SpecTimeout(2*time.Minute))
})
