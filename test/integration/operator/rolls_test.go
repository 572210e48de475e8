package operator_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/specs"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// templates are what the pods of each pool are made from now; a pool that has no Deployment has none.
func (w *world) templates(ctx context.Context, cluster string) map[string]string {
	GinkgoHelper()
	out := map[string]string{}
	for _, pool := range specs.Pools() {
		d := &appsv1.Deployment{}
		key := types.NamespacedName{Namespace: w.namespace, Name: specs.PoolName(cluster, pool)}
		if kube.Client.Get(ctx, key, d) == nil {
			out[pool] = d.Annotations[specs.TemplateAnnotation]
		}
	}
	return out
}

// rolled are the pools whose pods are not made from what they were made from before.
func (w *world) rolled(ctx context.Context, before map[string]string) func() []string {
	return func() []string {
		var out []string
		now := w.templates(ctx, "shop")
		for _, pool := range specs.Pools() {
			if now[pool] != before[pool] {
				out = append(out, pool)
			}
		}
		return out
	}
}

func (w *world) configMaps(ctx context.Context) func() []string {
	return func() []string {
		var list corev1.ConfigMapList
		Expect(kube.Client.List(ctx, &list, client.InNamespace(w.namespace),
			client.MatchingLabels(specs.InstanceLabels("shop")))).To(Succeed())
		var names []string
		for i := range list.Items {
			if len(list.Items[i].Labels[specs.RevisionLabel]) == 0 {
				names = append(names, list.Items[i].Name)
			}
		}
		return names
	}
}

func (w *world) jobs(ctx context.Context) int {
	GinkgoHelper()
	var list batchv1.JobList
	Expect(kube.Client.List(ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
	return len(list.Items)
}

// upToDate waits until the present spec is applied, and everything is ready.
func (w *world) upToDate(ctx context.Context) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		c := w.getCluster(ctx)
		g.Expect(c.Status.ObservedGeneration).To(Equal(c.Generation))
		g.Expect(condition(c.Status.Conditions, v1alpha1.ConditionReady)).To(Equal("True/AllReady"))
	}).Should(Succeed())
}

var _ = Describe("The pods of an OrderCluster", func() {
	It("are replaced by what they read, and by nothing else", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		w.play()
		w.operate()
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		w.upToDate(ctx)
		before, jobs := w.templates(ctx, "shop"), w.jobs(ctx)
		Expect(w.configMaps(ctx)()).To(HaveLen(3))

		By("letting a label on a Secret, and settings of a pool, be")
		secret := &corev1.Secret{}
		Expect(kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: "database"}, secret)).To(Succeed())
		secret.Labels = map[string]string{"touched-by": "a-backup"}
		Expect(kube.Client.Update(ctx, secret)).To(Succeed())
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Orders.PaymentTimeout = &metav1.Duration{Duration: 31 * time.Minute}
		})
		Eventually(w.rolled(ctx, before)).Should(Equal([]string{"standard"}))
		w.upToDate(ctx)
		Expect(w.rolled(ctx, before)()).To(Equal([]string{"standard"}))
		Expect(w.jobs(ctx)).To(Equal(jobs), "settings that no migration reads started a migration")

		By("removing what the earlier pods read")
		Eventually(w.configMaps(ctx)).Should(HaveLen(3))

		By("replacing them when a Secret that they mount has other data")
		before = w.templates(ctx, "shop")
		w.secret(ctx, "sandbox", "key", "another key")
		Eventually(w.rolled(ctx, before)).Should(Equal([]string{"standard", "worker"}))
		w.upToDate(ctx)
		Expect(w.rolled(ctx, before)()).To(Equal([]string{"standard", "worker"}))
	}, NodeTimeout(5*time.Minute))

	It("of the flash pool are not replaced while a sale is live, unless it is asked for", func(ctx SpecContext) {
		w, pool := migratedWorld(ctx, time.Now)
		addSKU(ctx, pool, "phone", 1000)
		addSKU(ctx, pool, "case", 1000)
		w.play()
		w.operate()
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		w.upToDate(ctx)
		start := time.Now().Add(2 * time.Second)
		Expect(kube.Client.Create(ctx, makePromotion(w.namespace).Window(start, start.Add(time.Hour)).Obj())).To(Succeed())
		Eventually(w.replicas(ctx, "flash")).Should(BeEquivalentTo(3))
		w.upToDate(ctx)
		before := w.templates(ctx, "shop")

		By("rolling the other pools on the new image")
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Image = "orderd:next" })
		Eventually(w.rolled(ctx, before)).Should(Equal([]string{"standard", "worker"}))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("True/RollWaitsForSale"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("False/RollWaitsForSale"))
		c := w.getCluster(ctx)
		Expect(message(c.Status.Conditions, v1alpha1.ConditionReady)).To(And(
			ContainSubstring("once no sale is live or about to be"), ContainSubstring("rollout.duringSale: Now")))
		Expect(c.Status.ObservedGeneration).To(BeNumerically("<", c.Generation))
		Expect(condition(c.Status.Conditions, v1alpha1.ConditionStalled)).To(HavePrefix("False/"))

		By("scaling it all the same")
		w.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.Traffic.ExpectedPeakRPS = 3000 })
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Pools.Flash.Replicas.Min = ptr.To[int32](4) })
		Eventually(w.replicas(ctx, "flash")).Should(BeEquivalentTo(4))
		Expect(w.rolled(ctx, before)()).To(Equal([]string{"standard", "worker"}))
		Eventually(func() string { return condition(w.getPromotion(ctx).Status.Conditions, v1alpha1.ConditionReady) }).Should(
			HavePrefix("True/"), "the sale is not ready because of a roll that waits for it")

		By("replacing them when it is asked for")
		w.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Rollout.DuringSale = v1alpha1.DuringSaleNow })
		Eventually(w.rolled(ctx, before)).Should(Equal(specs.Pools()))
		w.upToDate(ctx)
	}, NodeTimeout(5*time.Minute))

	It("are replaced one OrderCluster after the other when the operator was upgraded", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		k := w.play()
		names := []string{"shop", "other"}
		stop := w.operateAs("1.0.0")
		for _, name := range names {
			own := testnats.Run(GinkgoTB())
			Expect(kube.Client.Create(ctx, makeCluster(w.namespace, own.URL()).Named(name).Obj())).To(Succeed())
		}
		for _, name := range names {
			Eventually(w.readyOf(ctx, name)).Should(Equal("True/AllReady"))
		}
		stop()

		By("having the pods that an older operator would have made")
		for _, name := range names {
			for _, pool := range specs.Pools() {
				w.age(ctx, specs.PoolName(name, pool))
			}
		}
		// Its status follows the changed Deployments before anybody looks.
		Eventually(func(g Gomega) {
			for _, name := range names {
				for _, pool := range specs.Pools() {
					d := &appsv1.Deployment{}
					key := types.NamespacedName{Namespace: w.namespace, Name: specs.PoolName(name, pool)}
					g.Expect(kube.Client.Get(ctx, key, d)).To(Succeed())
					g.Expect(d.Status.ObservedGeneration).To(Equal(d.Generation))
				}
			}
		}).Should(Succeed())
		k.holdPods.Store(true)
		w.operateAs("2.0.0")
		aged := func(name string) int {
			n := 0
			for _, template := range w.templates(ctx, name) {
				if template == "aged" {
					n++
				}
			}
			return n
		}
		left := func() []int {
			n := []int{aged("shop"), aged("other")}
			slices.Sort(n)
			return n
		}
		Eventually(left).Should(Equal([]int{0, 3}), "one OrderCluster's pods are replaced")
		waiting := "shop"
		if aged("shop") == 0 {
			waiting = "other"
		}
		Eventually(w.conditionOf(ctx, waiting, v1alpha1.ConditionProgressing)).Should(Equal("True/RollWaitsForTurn"))
		Expect(w.readyOf(ctx, waiting)()).To(Equal("True/AllReady"), "what runs is as the spec has it")
		Expect(left()).To(Equal([]int{0, 3}))

		By("going on with the next once those are there")
		k.holdPods.Store(false)
		Eventually(left).Should(Equal([]int{0, 0}))
		for _, name := range names {
			Eventually(w.conditionOf(ctx, name, v1alpha1.ConditionProgressing)).Should(Equal("False/Complete"))
		}
	}, NodeTimeout(5*time.Minute))
})

// age makes a Deployment one that an older operator applied, from another template.
func (w *world) age(ctx context.Context, name string) {
	GinkgoHelper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"aged",%q:"0.9.0"}},`+
		`"spec":{"template":{"spec":{"terminationGracePeriodSeconds":7}}}}`, specs.TemplateAnnotation, specs.ByAnnotation)
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}
	Expect(kube.Client.Patch(ctx, d, client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
}

// conditionOf and readyOf are for Eventually.
func (w *world) conditionOf(ctx context.Context, cluster, kind string) func() string {
	return func() string {
		c := &v1alpha1.OrderCluster{}
		if kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: cluster}, c) != nil {
			return ""
		}
		return condition(c.Status.Conditions, kind)
	}
}

func (w *world) readyOf(ctx context.Context, cluster string) func() string {
	return w.conditionOf(ctx, cluster, v1alpha1.ConditionReady)
}
