package operator_test

import (
	"context"
	"errors"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// faultyAnswers are what an API server in trouble answers.
var faultyAnswers = map[string]struct {
	err    error
	reason string
	words  string
}{
	"conflict": {
		apierrors.NewConflict(schema.GroupResource{Resource: "things"}, "thing", errors.New("somebody else wrote it")),
		v1alpha1.ReasonApplyFailed, "somebody else wrote it",
	},
	"time-out": {context.DeadlineExceeded, v1alpha1.ReasonApplyFailed, "context deadline exceeded"},
	"refusal": {
		apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "thing", errors.New("policy says no")),
		v1alpha1.ReasonApplyRefused, "policy says no",
	},
}

// only answers with the error to the one request, about all whose names begin with its name.
func only(r request, err error) func(request) error {
	return func(got request) error {
		if got.verb == r.verb && got.kind == r.kind && strings.HasPrefix(got.name, r.name) {
			return err
		}
		return nil
	}
}

var _ = DescribeTable("An OrderCluster whose API server is in trouble at a phase says so, and goes on with the others",
	func(ctx SpecContext, failing request, where string, others ...string) {
		for name, answer := range faultyAnswers {
			By(name)
			p := newPlatform(ctx)
			p.fault = only(failing, answer.err)
			// The first passes make what can be made.
			for range 3 {
				p.kubelet.step(ctx)
				_, _ = p.reconcile(ctx)
			}
			result, err := p.reconcile(ctx)
			if name == "conflict" && failing.verb == "patch" {
				Expect(err).NotTo(HaveOccurred())
				Expect(result.RequeueAfter).To(BeNumerically("<=", time.Second), "the cache is about to be new")
				continue
			}
			Expect(err).To(MatchError(ContainSubstring(answer.words)), "it is tried again by the queue")
			c := p.getCluster(ctx)
			Expect(condition(c.Status.Conditions, where)).To(Equal("False/" + answer.reason))
			Expect(message(c.Status.Conditions, where)).To(ContainSubstring(answer.words))
			Expect(condition(c.Status.Conditions, v1alpha1.ConditionReady)).To(HavePrefix("False/"))
			Expect(c.Status.ObservedGeneration).To(BeZero())
			stalled := "False/AsExpected"
			if answer.reason == v1alpha1.ReasonApplyRefused {
				stalled = "True/ApplyRefused"
			}
			Expect(condition(c.Status.Conditions, v1alpha1.ConditionStalled)).To(Equal(stalled))
			told := 0
			for _, e := range warnings(p.told()) {
				if strings.Contains(e, answer.words) {
					told++
				}
			}
			Expect(told).To(Equal(1), "one event")
			for _, pool := range others {
				Expect(p.replicas(ctx, pool)()).To(BeNumerically(">", 0), "pool %s", pool)
			}

			p.fault = nil
			p.settle(ctx)
			c = p.getCluster(ctx)
			Expect(c.Status.ObservedGeneration).To(Equal(c.Generation))
			Expect(condition(c.Status.Conditions, v1alpha1.ConditionStalled)).To(Equal("False/AsExpected"))
		}
	},
	Entry("reading the promotions", SpecTimeout(time.Minute), request{"list", "PromotionEventList", ""},
		v1alpha1.ConditionApplied, "standard", "flash", "worker"),
	Entry("reading a Secret that pods mount", SpecTimeout(time.Minute), request{"get", "Secret", "sandbox"},
		v1alpha1.ConditionApplied),
	Entry("reading the Secret of the database", SpecTimeout(time.Minute), request{"get", "Secret", "database"},
		v1alpha1.ConditionDatabaseReady),
	Entry("listing the migrations", SpecTimeout(time.Minute), request{"list", "JobList", ""}, v1alpha1.ConditionMigrated),
	Entry("making the migration", SpecTimeout(time.Minute), request{"apply", "Job", ""}, v1alpha1.ConditionMigrated),
	Entry("making the keys", SpecTimeout(time.Minute), request{"apply", "Secret", ""}, v1alpha1.ConditionApplied),
	Entry("making the ConfigMap", SpecTimeout(time.Minute), request{"apply", "ConfigMap", "shop-flash"},
		v1alpha1.ConditionApplied, "standard", "flash", "worker"),
	Entry("making a ServiceAccount", SpecTimeout(time.Minute), request{"apply", "ServiceAccount", "shop-standard"},
		v1alpha1.ConditionApplied, "standard", "flash", "worker"),
	Entry("making a Service", SpecTimeout(time.Minute), request{"apply", "Service", "shop-standard"},
		v1alpha1.ConditionApplied, "standard", "flash", "worker"),
	Entry("making a NetworkPolicy", SpecTimeout(time.Minute), request{"apply", "NetworkPolicy", "shop-flash"},
		v1alpha1.ConditionApplied, "standard", "flash", "worker"),
	Entry("making a PodDisruptionBudget", SpecTimeout(time.Minute), request{"apply", "PodDisruptionBudget", "shop-worker"},
		v1alpha1.ConditionApplied, "standard", "flash", "worker"),
	Entry("making the first Deployment", SpecTimeout(time.Minute), request{"apply", "Deployment", "shop-standard"},
		v1alpha1.ConditionApplied, "flash", "worker"),
	Entry("looking at the first Deployment", SpecTimeout(time.Minute), request{"get", "Deployment", "shop-standard"},
		v1alpha1.ConditionApplied, "flash", "worker"),
	Entry("adding the finalizer", SpecTimeout(time.Minute), request{"patch", "OrderCluster", "shop"},
		v1alpha1.ConditionApplied),
)

var _ = Describe("An OrderCluster", func() {
	It("whose status cannot be written is tried again", func(ctx SpecContext) {
		p := newPlatform(ctx)
		p.settle(ctx)
		p.fault = only(request{"apply status", "OrderCluster", ""}, faultyAnswers["time-out"].err)
		p.unavailable(ctx, "flash")
		_, err := p.reconcile(ctx)
		Expect(err).To(MatchError(context.DeadlineExceeded))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionReady)()).To(Equal("True/AllReady"))
		p.fault = only(request{"apply status", "OrderCluster", ""}, faultyAnswers["conflict"].err)
		Expect(p.reconcile(ctx)).To(HaveField("RequeueAfter", BeNumerically("<=", time.Second)))
		p.fault = nil
		_, err = p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionReady)()).To(Equal("False/PoolsNotReady"))
	}, SpecTimeout(time.Minute))

	It("whose pods cannot be looked at says so", func(ctx SpecContext) {
		p := newPlatform(ctx)
		p.settle(ctx)
		p.unavailable(ctx, "flash")
		for name, answer := range faultyAnswers {
			By(name)
			p.told()
			p.fault = only(request{"list", "PodList", ""}, answer.err)
			for range 2 {
				_, err := p.reconcile(ctx)
				Expect(err).To(MatchError(ContainSubstring(answer.words)))
			}
			Expect(p.clusterCondition(ctx, v1alpha1.ConditionProgressing)()).To(Equal("False/" + answer.reason))
			Expect(p.clusterMessage(ctx, v1alpha1.ConditionProgressing)()).To(ContainSubstring(answer.words))
			Expect(p.clusterCondition(ctx, v1alpha1.ConditionReady)()).To(Equal("False/PoolsNotReady"))
			Expect(warnings(p.told())).To(ConsistOf(ContainSubstring(answer.words)))
		}
	}, SpecTimeout(time.Minute))

	It("whose cache is old overwrites nothing and writes no old status", func(ctx SpecContext) {
		p := newPlatform(ctx)
		p.settle(ctx)
		d, err := p.deployment(ctx, "flash")
		Expect(err).NotTo(HaveOccurred())

		By("a Deployment that was made anew by somebody else")
		Expect(kube.Client.Delete(ctx, d)).To(Succeed())
		foreign := &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: d.Name},
			Spec:       *d.Spec.DeepCopy(),
		}
		Expect(kube.Client.Create(ctx, foreign)).To(Succeed())
		p.stale = func(o client.Object) {
			if live, ok := o.(*appsv1.Deployment); ok && live.Name == d.Name {
				d.DeepCopyInto(live)
			}
		}
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Pools.Flash.Replicas.Min = ptr.To[int32](2) })
		_, err = p.reconcile(ctx)
		Expect(err).To(MatchError(ContainSubstring("it was made anew")))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionApplied)()).To(Equal("False/ApplyFailed"), "it is tried again")
		Expect(*foreign.Spec.Replicas).To(Equal(p.replicas(ctx, "flash")()), "it was overwritten")
		p.stale = nil
		_, err = p.reconcile(ctx)
		Expect(err).To(MatchError(ContainSubstring("does not belong to this OrderCluster")))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionApplied)()).To(Equal("False/NameTaken"))
		Expect(kube.Client.Delete(ctx, foreign)).To(Succeed())
		p.settle(ctx)

		By("the OrderCluster itself")
		old := p.getCluster(ctx)
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Pools.Worker.Replicas.Min = ptr.To[int32](2) })
		p.stale = func(o client.Object) {
			if live, ok := o.(*v1alpha1.OrderCluster); ok {
				old.DeepCopyInto(live)
			}
		}
		p.unavailable(ctx, "standard")
		Expect(p.reconcile(ctx)).To(HaveField("RequeueAfter", BeNumerically("<=", time.Second)))
		c := p.getCluster(ctx)
		Expect(c.Status.ObservedGeneration).To(BeNumerically("<", c.Generation))
		p.stale = nil
		p.settle(ctx)
	}, SpecTimeout(time.Minute))

	It("sends nothing that would change nothing", func(ctx SpecContext) {
		p := newPlatform(ctx)
		p.settle(ctx)
		reconcile := func() []string {
			GinkgoHelper()
			p.applies()
			_, err := p.reconcile(ctx)
			Expect(err).NotTo(HaveOccurred())
			return p.applies()
		}
		Expect(reconcile()).To(BeEmpty())

		By("a pod that comes or goes")
		d, err := p.deployment(ctx, "flash")
		Expect(err).NotTo(HaveOccurred())
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}}
		Expect(kube.Client.Status().Update(ctx, d)).To(Succeed())
		Expect(reconcile()).To(BeEmpty())

		By("somebody who changes an object")
		svc := &corev1.Service{}
		key := types.NamespacedName{Namespace: p.namespace, Name: "shop-flash"}
		Expect(kube.Client.Get(ctx, key, svc)).To(Succeed())
		svc.Spec.Selector = map[string]string{"app": "blog"}
		Expect(kube.Client.Update(ctx, svc)).To(Succeed())
		Expect(reconcile()).To(ConsistOf("Service shop-flash"))
		Expect(kube.Client.Get(ctx, key, svc)).To(Succeed())
		Expect(svc.Spec.Selector).NotTo(HaveKey("app"))
		d, err = p.deployment(ctx, "worker")
		Expect(err).NotTo(HaveOccurred())
		d.Spec.RevisionHistoryLimit = ptr.To[int32](9)
		Expect(kube.Client.Update(ctx, d)).To(Succeed())
		Expect(reconcile()).To(ConsistOf("Deployment shop-worker"))
		Expect(reconcile()).To(BeEmpty())

		By("a change of the spec")
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Orders.MaterializePerSecond = ptr.To[int32](7)
		})
		Expect(reconcile()).To(ContainElement("Deployment shop-worker"))
	}, SpecTimeout(time.Minute))

	It("keeps every pool's size up while it migrates, also without the first Deployment", func(ctx SpecContext) {
		p := newPlatform(ctx)
		p.settle(ctx)
		d, err := p.deployment(ctx, "standard")
		Expect(err).NotTo(HaveOccurred())
		Expect(kube.Client.Delete(ctx, d)).To(Succeed())
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Image, spec.Pools.Flash.Replicas.Min = "orderd:next", ptr.To[int32](3)
		})
		_, err = p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionMigrated)()).To(Equal("False/MigrationRunning"))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionApplied)()).To(Equal("False/WaitingForMigration"))
		Expect(p.replicas(ctx, "flash")()).To(Equal(int32(3)))
		Expect(p.getCluster(ctx).Status.ObservedGeneration).To(BeNumerically("<", p.getCluster(ctx).Generation))

		By("a pool that cannot be scaled")
		p.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) {
			spec.Pools.Flash.Replicas.Min, spec.Pools.Worker.Replicas.Min = ptr.To[int32](4), ptr.To[int32](2)
		})
		p.fault = only(request{"patch", "Deployment", "shop-flash"}, faultyAnswers["refusal"].err)
		_, err = p.reconcile(ctx)
		Expect(err).To(MatchError(ContainSubstring("policy says no")))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionApplied)()).To(Equal("False/ApplyRefused"))
		Expect(p.replicas(ctx, "worker")()).To(Equal(int32(2)))
	}, SpecTimeout(time.Minute))

	It("touches no pod with settings that pods would not start with", func(ctx SpecContext) {
		p := newPlatform(ctx)
		p.settle(ctx)
		p.stale = func(o client.Object) {
			if c, ok := o.(*v1alpha1.OrderCluster); ok {
				// The API server refuses it: an OrderCluster of before a rule may have it all the same.
				c.Spec.Messaging.Replicas, c.Spec.Image = ptr.To[int32](2), "orderd:next"
			}
		}
		p.applies()
		_, err := p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.applies()).To(BeEmpty())
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionApplied)()).To(Equal("False/ConfigInvalid"))
		Expect(p.clusterMessage(ctx, v1alpha1.ConditionApplied)()).To(
			ContainSubstring("messaging.replicas: must be 1, 3 or 5"))
		Expect(p.clusterCondition(ctx, v1alpha1.ConditionStalled)()).To(Equal("True/ConfigInvalid"))
		Expect(warnings(p.told())).To(ContainElement(HavePrefix("Warning ConfigInvalid")))
	}, SpecTimeout(time.Minute))
})
