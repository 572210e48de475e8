package operator_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/orderd-dev/orderd/test/kit/testkube"
)

var chart = testkube.Chart()

// render is what helm makes of the chart with these values, without a cluster.
func render(ctx context.Context, values ...string) ([]*unstructured.Unstructured, error) {
	GinkgoHelper()
	out, err := kube.Helm(ctx, "orderd-system", append([]string{"template", "orderd", chart}, settings(values...)...)...)
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	for decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(out), 4096); ; {
		u := &unstructured.Unstructured{}
		err := decoder.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		Expect(err).NotTo(HaveOccurred())
		if len(u.Object) > 0 {
			all = append(all, u)
		}
	}
}

// operatorRoles are the rules of the roles that the operator does its work with, by kind and namespace.
func operatorRoles(all []*unstructured.Unstructured) map[string][]rbacv1.PolicyRule {
	GinkgoHelper()
	found := map[string][]rbacv1.PolicyRule{}
	for _, u := range all {
		if u.GetName() != "orderd-operator" || !strings.HasSuffix(u.GetKind(), "Role") {
			continue
		}
		role := &rbacv1.Role{}
		Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, role)).To(Succeed())
		found[u.GetKind()+" "+u.GetNamespace()] = role.Rules
	}
	return found
}

var _ = Describe("The chart", func() {
	It("grants the same everywhere and in named namespaces", func(ctx SpecContext) {
		everywhere, err := render(ctx)
		Expect(err).NotTo(HaveOccurred())
		named, err := render(ctx, "watchNamespaces={a,b}", "aggregatedRoles=false")
		Expect(err).NotTo(HaveOccurred())
		rules := operatorRoles(everywhere)["ClusterRole "]
		Expect(rules).NotTo(BeEmpty())
		Expect(operatorRoles(named)).To(Equal(map[string][]rbacv1.PolicyRule{"Role a": rules, "Role b": rules}))
		for _, u := range named {
			Expect(u.GetKind()).NotTo(HavePrefix("Cluster"))
		}
	}, SpecTimeout(time.Minute))

	DescribeTable("gives the Lease times that go with the replicas",
		func(ctx SpecContext, want string, values ...string) {
			all, err := render(ctx, values...)
			Expect(err).NotTo(HaveOccurred())
			var args []string
			for _, u := range all {
				if u.GetKind() == "Deployment" {
					containers, _, err := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
					Expect(err).NotTo(HaveOccurred())
					args, _, err = unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
					Expect(err).NotTo(HaveOccurred())
				}
			}
			Expect(strings.Join(args, " ")).To(ContainSubstring(want))
		},
		Entry("one", SpecTimeout(time.Minute), "--leader-elect --leader-election-id=orderd-operator "+
			"--leader-election-lease-duration=15s --leader-election-renew-deadline=10s --leader-election-retry-period=2s"),
		Entry("two", SpecTimeout(time.Minute), "--leader-election-lease-duration=6s --leader-election-renew-deadline=4s "+
			"--leader-election-retry-period=1s", "replicas=2"),
		Entry("values", SpecTimeout(time.Minute), "--leader-election-lease-duration=60s "+
			"--leader-election-renew-deadline=40s --leader-election-retry-period=5s", "leaderElection.leaseDuration=60s",
			"leaderElection.renewDeadline=40s", "leaderElection.retryPeriod=5s"),
		Entry("none", SpecTimeout(time.Minute), "--leader-elect=false", "leaderElection.enabled=false"),
	)

	It("can be changed to one pod without an election, and back", func(ctx SpecContext) {
		system, named := newNamespace(ctx), "watchNamespaces={"+newNamespace(ctx)+"}"
		install(ctx, system, "orderd", named)
		for _, enabled := range []string{"false", "true"} {
			_, err := kube.Helm(ctx, system, append([]string{"upgrade", "orderd", chart},
				settings(named, "leaderElection.enabled="+enabled)...)...)
			Expect(err).NotTo(HaveOccurred())
		}
	}, SpecTimeout(time.Minute))

	DescribeTable("refuses", func(ctx SpecContext, value, want string) {
		_, err := render(ctx, strings.Split(value, " ")...)
		Expect(err).To(MatchError(ContainSubstring(want)))
	},
		Entry("a namespace twice", SpecTimeout(time.Minute), "watchNamespaces={a,a}", "items at 0 and 1 are equal"),
		Entry("an empty namespace", SpecTimeout(time.Minute), "watchNamespaces={a,}",
			"'/watchNamespaces/1': '' does not match pattern"),
		Entry("no namespace's name", SpecTimeout(time.Minute), "watchNamespaces={Shop}", "'Shop' does not match pattern"),
		Entry("a word instead of a list", SpecTimeout(time.Minute), "watchNamespaces=a",
			"'/watchNamespaces': got string, want array"),
		Entry("parts of a second", SpecTimeout(time.Minute), "leaderElection.leaseDuration=1500ms", "does not match pattern"),
		Entry("a deadline that is not shorter than the lease", SpecTimeout(time.Minute), "leaderElection.renewDeadline=15s",
			"leaderElection.renewDeadline is 15s: it has to be shorter than leaderElection.leaseDuration, which is 15s"),
		Entry("a retry that is not shorter than the deadline", SpecTimeout(time.Minute), "leaderElection.retryPeriod=9s",
			"leaderElection.retryPeriod is 9s: 1.2 times as long has to be shorter than leaderElection.renewDeadline"),
		Entry("two operators at once", SpecTimeout(time.Minute), "replicas=2 leaderElection.enabled=false",
			"leaderElection.enabled has to be true"),
	)
})
