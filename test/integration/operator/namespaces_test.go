package operator_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/ordercluster"
	"github.com/orderd-dev/orderd/operator/run"
)

// nobody is where no NATS server listens.
const nobody = "nats://127.0.0.1:1"

// may asks the API server for a right of whoever asks; an empty namespace: in all.
func may(ctx context.Context, c client.Client, right authorizationv1.ResourceAttributes) bool {
	GinkgoHelper()
	review := &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &right},
	}
	Expect(c.Create(ctx, review)).To(Succeed())
	return review.Status.Allowed
}

// rights are all that the operator needs in a namespace, as make generate finds them in its code.
func rights(ctx context.Context, namespace string) []authorizationv1.ResourceAttributes {
	GinkgoHelper()
	role := &rbacv1.ClusterRole{}
	Expect(kube.Client.Get(ctx, types.NamespacedName{Name: "orderd-operator"}, role)).To(Succeed())
	var all []authorizationv1.ResourceAttributes
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				of, sub, _ := strings.Cut(resource, "/")
				right := authorizationv1.ResourceAttributes{
					Namespace: namespace, Group: rule.APIGroups[0], Resource: of, Subresource: sub, Verb: verb,
				}
				if resource == "namespaces" {
					right.Name = namespace
				}
				all = append(all, right)
			}
		}
	}
	Expect(len(all)).To(BeNumerically(">", 40))
	return all
}

// allRights are those that the API server lists for a namespace.
func allRights(ctx context.Context, c client.Client, namespace string) []authorizationv1.ResourceRule {
	GinkgoHelper()
	review := &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}
	Expect(c.Create(ctx, review)).To(Succeed())
	return review.Status.ResourceRules
}

func leaderLease(ctx context.Context, namespace, name string) *coordinationv1.Lease {
	GinkgoHelper()
	l := &coordinationv1.Lease{}
	err := kube.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, l)
	Expect(client.IgnoreNotFound(err)).To(Succeed())
	return l
}

var _ = Describe("An operator for named namespaces", func() {
	It("has all rights that it needs there, and none anywhere else", func(ctx SpecContext) {
		system, outside := newNamespace(ctx), newNamespace(ctx)
		named := []string{newNamespace(ctx), newNamespace(ctx)}
		r := install(ctx, system, "orderd", "watchNamespaces={"+named[0]+","+named[1]+"}")
		c := r.client()
		for _, namespace := range named {
			for _, right := range rights(ctx, namespace) {
				Expect(may(ctx, c, right)).To(BeTrue(), "%+v", right)
			}
			Expect(c.Get(ctx, types.NamespacedName{Name: namespace}, &corev1.Namespace{})).To(Succeed())
		}
		for _, namespace := range []string{outside, system, ""} {
			for _, right := range rights(ctx, namespace) {
				Expect(may(ctx, c, right)).To(BeFalse(), "%+v", right)
			}
		}
		err := c.Get(ctx, types.NamespacedName{Name: outside}, &corev1.Namespace{})
		Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)

		By("comparing it with a ServiceAccount that nobody gave any right")
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "nobody"}}
		Expect(kube.Client.Create(ctx, account)).To(Succeed())
		config, _, err := kube.ServiceAccount(ctx, system, account.Name)
		Expect(err).NotTo(HaveOccurred())
		powerless := &release{config: config}
		Expect(allRights(ctx, c, outside)).To(ConsistOf(allRights(ctx, powerless.client(), outside)))

		By("leading by its own Lease alone")
		for verb, names := range map[string]map[string]bool{
			"create": {"": true}, "get": {r.operator(): true, "other": false}, "update": {r.operator(): true, "other": false},
			"delete": {r.operator(): false}, "patch": {r.operator(): false}, "list": {"": false},
		} {
			for name, allowed := range names {
				right := authorizationv1.ResourceAttributes{
					Namespace: system, Group: coordinationv1.GroupName, Resource: "leases", Verb: verb, Name: name,
				}
				Expect(may(ctx, c, right)).To(Equal(allowed), "%+v", right)
			}
		}
	}, SpecTimeout(time.Minute))

	It("works in each of them, and leaves others alone", func(ctx SpecContext) {
		first, _ := migratedWorld(ctx, time.Now)
		second, _ := migratedWorld(ctx, time.Now)
		outside := plainWorld(ctx, "", time.Now)
		for _, w := range []*world{first, second} {
			w.play()
			Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		}
		Expect(kube.Client.Create(ctx, makeCluster(outside.namespace, nobody).Obj())).To(Succeed())
		r := install(ctx, newNamespace(ctx), "orderd", "watchNamespaces={"+first.namespace+","+second.namespace+"}")
		r.operate(ctx)
		for _, w := range []*world{first, second} {
			Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		}
		c := outside.getCluster(ctx)
		Expect(c.Finalizers).To(BeEmpty())
		Expect(c.Status.Conditions).To(BeEmpty())
		Expect(leaderLease(ctx, r.namespace, "orderd-operator").Spec.LeaseDurationSeconds).To(Equal(ptr.To[int32](15)))
	}, SpecTimeout(2*time.Minute))

	It("leads beside one for others, and none is installed for what another looks after", func(ctx SpecContext) {
		system := newNamespace(ctx)
		east, west := plainWorld(ctx, "", time.Now), plainWorld(ctx, "", time.Now)
		for name, w := range map[string]*world{"east": east, "west": west} {
			Expect(kube.Client.Create(ctx, makeCluster(w.namespace, nobody).Obj())).To(Succeed())
			install(ctx, system, name, "watchNamespaces={"+w.namespace+"}").operate(ctx)
		}
		for name, w := range map[string]*world{"east": east, "west": west} {
			Eventually(func() []string { return w.getCluster(ctx).Finalizers }).Should(ContainElement(ordercluster.Finalizer))
			Expect(ptr.Deref(leaderLease(ctx, system, name+"-operator").Spec.HolderIdentity, "")).NotTo(BeEmpty(), name)
		}
		for _, values := range []string{"watchNamespaces={" + newNamespace(ctx) + "," + west.namespace + "}", "replicas=1"} {
			out, err := kube.Helm(ctx, newNamespace(ctx), append([]string{"install", "other", chart}, settings(values)...)...)
			Expect(err).To(MatchError(ContainSubstring("in namespace "+system+" already looks after ")), out)
		}
		_, err := kube.Helm(ctx, system, append([]string{"upgrade", "east", chart},
			settings("watchNamespaces={"+east.namespace+","+newNamespace(ctx)+"}")...)...)
		Expect(err).NotTo(HaveOccurred())
	}, SpecTimeout(2*time.Minute))
})

var _ = Describe("Secrets", func() {
	It("are kept in memory without anything that could hold their data", func(ctx SpecContext) {
		named, other := newNamespace(ctx), newNamespace(ctx)
		const hidden = "aHVudGVyMg=="
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: named, Name: "database", Labels: map[string]string{"password": "hunter2"},
				Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: `{"data":{"password":"` + hidden + `"}}`},
			},
			StringData: map[string]string{"password": "hunter2"},
		}
		Expect(kube.Client.Create(ctx, secret)).To(Succeed())
		elsewhere := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "database"}}
		Expect(kube.Client.Create(ctx, elsewhere)).To(Succeed())

		options := run.CacheOptions([]string{named})
		options.Scheme = kube.Scheme
		kept, err := cache.New(operatorConfig, options)
		Expect(err).NotTo(HaveOccurred())
		background(kept.Start)
		version := func(want string) func(Gomega) {
			return func(g Gomega) {
				list := &metav1.PartialObjectMetadataList{}
				list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
				g.Expect(kept.List(ctx, list)).To(Succeed())
				i := slices.IndexFunc(list.Items, func(o metav1.PartialObjectMetadata) bool { return o.Name == secret.Name })
				g.Expect(i).To(BeNumerically(">=", 0))
				g.Expect(list.Items[i].ResourceVersion).To(Equal(want))
				raw, err := json.Marshal(list)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(string(raw)).NotTo(Or(ContainSubstring(hidden), ContainSubstring("hunter2")))
				g.Expect(string(raw)).NotTo(ContainSubstring(other))
			}
		}
		Eventually(version(secret.ResourceVersion)).Should(Succeed())
		secret.Annotations["again"] = hidden
		Expect(kube.Client.Update(ctx, secret)).To(Succeed())
		Eventually(version(secret.ResourceVersion)).Should(Succeed())
	}, SpecTimeout(time.Minute))
})
