package operator_test

import (
	"context"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

const password = "hunter2-do-not-tell"

// stranger is a URL for a user that the database does not have, with a password that must not be
// told.
func stranger(raw string) *url.URL {
	GinkgoHelper()
	u, err := url.Parse(raw)
	Expect(err).NotTo(HaveOccurred())
	u.User = url.UserPassword("stranger", password)
	return u
}

// changeCluster changes the spec, again if the operator wrote the object at the same moment.
func (w *world) changeCluster(ctx context.Context, change func(*v1alpha1.OrderClusterSpec)) {
	GinkgoHelper()
	Eventually(func() error {
		c := w.getCluster(ctx)
		change(&c.Spec)
		return kube.Client.Update(ctx, c)
	}).Should(Succeed())
}

func (w *world) deployment(ctx context.Context, pool string) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{}
	err := kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: "shop-" + pool}, d)
	return d, err
}

func (w *world) replicas(ctx context.Context, pool string) func() int32 {
	return func() int32 {
		d, err := w.deployment(ctx, pool)
		if err != nil {
			return -1
		}
		return *d.Spec.Replicas
	}
}

func (w *world) events(ctx context.Context) []string {
	GinkgoHelper()
	var list eventsv1.EventList
	Expect(kube.Client.List(ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
	var reasons []string
	for _, e := range list.Items {
		reasons = append(reasons, e.Type+"/"+e.Reason)
	}
	return reasons
}

// expectPeersOnly asserts that the flash pool's calls between pods are for the OrderCluster's
// own pods, and that only the flash pool has them. Nothing in these tests enforces it: there
// is no network plugin.
func (w *world) expectPeersOnly(ctx context.Context) {
	GinkgoHelper()
	opened := map[string][]string{}
	for _, pool := range []string{"standard", "flash", "worker"} {
		np := &networkingv1.NetworkPolicy{}
		Expect(kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: "shop-" + pool}, np)).To(Succeed())
		Expect(np.Spec.PolicyTypes).To(ConsistOf(networkingv1.PolicyTypeIngress))
		d, err := w.deployment(ctx, pool)
		Expect(err).NotTo(HaveOccurred())
		Expect(np.Spec.PodSelector.MatchLabels).To(Equal(d.Spec.Selector.MatchLabels))
		for _, rule := range np.Spec.Ingress {
			from := "anybody"
			for _, peer := range rule.From {
				from = "own pods"
				for key, value := range peer.PodSelector.MatchLabels {
					Expect(d.Spec.Template.Labels).To(HaveKeyWithValue(key, value))
				}
				Expect(peer.PodSelector.MatchLabels).To(HaveKeyWithValue("app.kubernetes.io/instance", "shop"))
			}
			for _, port := range rule.Ports {
				opened[pool] = append(opened[pool], port.Port.String()+" "+from)
			}
		}
	}
	Expect(opened).To(Equal(map[string][]string{
		"standard": {
			"8080 anybody",
			"8081 anybody",
		},
		"flash":  {"8080 anybody", "8081 anybody", "8082 own pods"},
		"worker": {"8081 anybody"},
	}))
}

var _ = Describe("An OrderCluster", func() {
	It("becomes ready: migrated first, then every pool", func(ctx SpecContext) {
		w := newWorld(ctx, testdb.New(GinkgoTB()), time.Now)
		w.secret(ctx, "database", "url", w.databaseURL)
		w.secret(ctx, "sandbox", "key", "not a secret")
		k := w.play()
		k.failJobs.Store(true)
		w.operate()
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())

		By("telling that a migration failed, and trying again")
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionMigrated)).Should(Equal("False/MigrationFailed"))
		Expect(message(w.getCluster(ctx).Status.Conditions, v1alpha1.ConditionMigrated)).To(ContainSubstring("attempt 1"))
		_, err := w.deployment(ctx, "standard")
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "a pool was made before the migration had finished")
		k.failJobs.Store(false)
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionMigrated)).Should(Equal("True/Migrated"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))

		By("making what each pool consists of, owned by the OrderCluster")
		c := w.getCluster(ctx)
		for _, pool := range []string{"standard", "flash", "worker"} {
			key := types.NamespacedName{Namespace: w.namespace, Name: "shop-" + pool}
			for _, o := range []client.Object{
				&appsv1.Deployment{}, &corev1.Service{}, &corev1.ServiceAccount{}, &networkingv1.NetworkPolicy{},
				&policyv1.PodDisruptionBudget{},
			} {
				Expect(kube.Client.Get(ctx, key, o)).To(Succeed())
				Expect(metav1.IsControlledBy(o, c)).To(BeTrue(), "%T", o)
			}
		}
		w.expectPeersOnly(ctx)
		key, err := database.OrderIDKey(ctx, w.pool(ctx))
		Expect(err).NotTo(HaveOccurred())
		keys := &corev1.Secret{}
		Expect(kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: "shop-keys"}, keys)).To(Succeed())
		Expect(string(keys.Data["order-id-key"])).To(Equal(key))
		Expect(c.Status.Endpoint).To(Equal("http://shop-standard." + w.namespace + ".svc:8080"))
		Expect(condition(c.Status.Conditions, v1alpha1.ConditionProgressing)).To(Equal("False/Complete"))

		By("making the keys again, as they were, when somebody deletes them")
		Expect(kube.Client.Delete(ctx, keys)).To(Succeed())
		again := &corev1.Secret{}
		Eventually(func() error { return kube.Client.Get(ctx, client.ObjectKeyFromObject(keys), again) }).Should(Succeed())
		Expect(again.Data).To(Equal(keys.Data))

		By("sending a pool's pods to the nodes that are its own, and back to all when it has none")
		flashPods := func() corev1.PodSpec {
			d, err := w.deployment(ctx, "flash")
			Expect(err).NotTo(HaveOccurred())
			return d.Spec.Template.Spec
		}
		taint := corev1.Toleration{
			Key:      "shop.example/lane",
			Operator: corev1.TolerationOpEqual,
			Value:    "flash",
			Effect:   corev1.TaintEffectNoSchedule,
		}
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Pools.Flash.NodeSelector = map[string]v1alpha1.NodeLabelValue{"shop.example/lane": "flash"}
			spec.Pools.Flash.Tolerations = []corev1.Toleration{taint}
		})
		Eventually(flashPods).Should(And(HaveField("NodeSelector", Equal(map[string]string{"shop.example/lane": "flash"})),
			HaveField("Tolerations", Equal([]corev1.Toleration{taint}))))
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Pools.Flash.NodeSelector, spec.Pools.Flash.Tolerations = nil, nil
		})
		Eventually(flashPods).Should(And(HaveField("NodeSelector", BeEmpty()), HaveField("Tolerations", BeEmpty())))

		By("migrating for a new image before any pod runs it")
		jobs := k.jobs.Load()
		k.failJobs.Store(true)
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Image = "orderd:next" })
		Eventually(k.jobs.Load).Should(BeNumerically(">", jobs))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionMigrated)).Should(Equal("False/MigrationFailed"))
		d, err := w.deployment(ctx, "standard")
		Expect(err).NotTo(HaveOccurred())
		Expect(d.Spec.Template.Spec.Containers[0].Image).To(Equal("orderd:test"))
		k.failJobs.Store(false)
		Eventually(func() string {
			d, err := w.deployment(ctx, "standard")
			Expect(err).NotTo(HaveOccurred())
			return d.Spec.Template.Spec.Containers[0].Image
		}).Should(Equal("orderd:next"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		Eventually(func() []batchv1.Job {
			var list batchv1.JobList
			Expect(kube.Client.List(ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
			return list.Items
		}).Should(HaveLen(2), "Jobs of the earlier image stay")
		Eventually(
			func() []string { return w.events(ctx) },
		).Should(ContainElements("Warning/MigrationFailed", "Normal/Migrated", "Normal/Ready"))
	}, SpecTimeout(2*time.Minute))

	It("tells what is wrong with its database, without telling the secret, and recovers", func(ctx SpecContext) {
		w := newWorld(ctx, testdb.New(GinkgoTB()), time.Now)
		w.secret(ctx, "sandbox", "key", "not a secret")
		w.play()
		w.operate()
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		ready := w.clusterCondition(ctx, v1alpha1.ConditionDatabaseReady)
		Eventually(ready).Should(Equal("False/SecretNotFound"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("False/SecretNotFound"))

		w.secret(ctx, "database", "other", "x")
		Eventually(ready).Should(Equal("False/SecretKeyMissing"))
		w.secret(ctx, "database", "url", "postgres://user:"+password+"@host:port/%zz")
		Eventually(ready).Should(Equal("False/InvalidURL"))
		unreachable := stranger(w.databaseURL)
		unreachable.Host = "127.0.0.1:1"
		w.secret(ctx, "database", "url", unreachable.String())
		Eventually(ready).Should(Equal("False/Unreachable"))
		w.secret(ctx, "database", "url", stranger(w.databaseURL).String())
		Eventually(ready).Should(Equal("False/AccessDenied"))
		Expect(message(w.getCluster(ctx).Status.Conditions, v1alpha1.ConditionDatabaseReady)).To(ContainSubstring("stranger"))
		Expect(
			condition(w.getCluster(ctx).Status.Conditions, v1alpha1.ConditionMigrated),
		).To(Equal("False/WaitingForDatabase"))

		w.secret(ctx, "database", "url", w.databaseURL)
		Eventually(ready).Should(Equal("True/Connected"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))

		By("keeping the pools while the Secret is wrong again")
		w.secret(ctx, "database", "url", stranger(w.databaseURL).String())
		Eventually(ready).Should(Equal("False/AccessDenied"))
		Expect(w.replicas(ctx, "standard")()).To(Equal(int32(1)))
		w.secret(ctx, "database", "url", w.databaseURL)
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))

		var events eventsv1.EventList
		Expect(kube.Client.List(ctx, &events, client.InNamespace(w.namespace))).To(Succeed())
		for _, e := range events.Items {
			Expect(e.Note).NotTo(ContainSubstring(password))
		}
		Expect(
			strings.Contains(string(GinkgoWriter.(interface{ Bytes() []byte }).Bytes()), password),
		).To(BeFalse(), "the password was logged")
	}, SpecTimeout(2*time.Minute))

	It("tells what is wrong with its messaging, and recovers", func(ctx SpecContext) {
		w := newWorld(ctx, testdb.New(GinkgoTB()), time.Now)
		w.secret(ctx, "database", "url", w.databaseURL)
		w.secret(ctx, "sandbox", "key", "not a secret")
		w.play()
		w.operate()
		c := makeCluster(w.namespace, "nats://127.0.0.1:1").Obj()
		c.Spec.Messaging.CredentialsSecretRef = &v1alpha1.SecretKeyReference{Name: "creds", Key: "creds"}
		Expect(kube.Client.Create(ctx, c)).To(Succeed())
		ready := w.clusterCondition(ctx, v1alpha1.ConditionMessagingReady)
		Eventually(ready).Should(Equal("False/SecretNotFound"))
		w.secret(ctx, "creds", "creds", password)
		Eventually(ready).Should(Equal("False/InvalidCredentials"))
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Messaging.CredentialsSecretRef = nil })
		Eventually(ready).Should(Equal("False/Unreachable"))
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Messaging.URL = w.nats.URL() })
		Eventually(ready).Should(Equal("True/Connected"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
	}, SpecTimeout(2*time.Minute))

	It(
		"scales the flash pool ahead of a promotion, holds still while paused, and goes only after its promotions",
		func(ctx SpecContext) {
			w, _ := migratedWorld(ctx, time.Now)
			w.play()
			w.operate()
			Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
			Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
			Expect(w.replicas(ctx, "flash")()).To(Equal(int32(1)))
			start := time.Now().Add(2 * time.Minute).Truncate(time.Second)
			Expect(kube.Client.Create(ctx, makePromotion(w.namespace).Window(start, start.Add(time.Hour)).Obj())).To(Succeed())
			Eventually(
				w.replicas(ctx, "flash"),
			).Should(Equal(int32(3)), "2,000 requests a second and a quarter more, over 1,000 a pod")

			w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Paused = ptr.To(true) })
			Eventually(w.clusterCondition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/Paused"))
			w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Paused = nil })
			Eventually(w.clusterCondition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/Complete"))

			Expect(kube.Client.Delete(ctx, w.getCluster(ctx))).To(Succeed())
			Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("False/Deleting"))
			Expect(kube.Client.Delete(ctx, w.getPromotion(ctx))).To(Succeed())
			Eventually(func() bool {
				return apierrors.IsNotFound(
					kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: "shop"}, &v1alpha1.OrderCluster{}),
				)
			}).Should(BeTrue())
		},
		SpecTimeout(2*time.Minute),
	)

	It("gives each pod the secrets that its role needs, and no rights", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		w.play()
		w.operate()
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		want := map[string][]string{
			"standard": {"config", "keys", "database", "payments-sandbox"},
			"flash":    {"config", "keys"},
			"worker":   {"config", "keys", "database", "payments-sandbox"},
		}
		for pool, volumes := range want {
			d, err := w.deployment(ctx, pool)
			Expect(err).NotTo(HaveOccurred())
			var names []string
			for _, v := range d.Spec.Template.Spec.Volumes {
				names = append(names, v.Name)
			}
			Expect(names).To(ConsistOf(volumes), pool)
			pod := d.Spec.Template.Spec
			Expect(*pod.SecurityContext.RunAsNonRoot).To(BeTrue())
			Expect(*pod.AutomountServiceAccountToken).To(BeFalse())
			Expect(*pod.Containers[0].SecurityContext.ReadOnlyRootFilesystem).To(BeTrue())
			Expect(pod.Containers[0].SecurityContext.Capabilities.Drop).To(ConsistOf(corev1.Capability("ALL")))
		}
	}, SpecTimeout(time.Minute))
})
