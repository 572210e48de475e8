//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/hack/demo/kube"
	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/hack/demo/report"
	"github.com/orderd-dev/orderd/hack/demo/sale"
)

// saleWithin is how long a sale may take, from the seeding to the last payment.
const saleWithin = 10 * time.Minute

var _ = Describe("a sale", Ordered, func() {
	DescribeTable(
		"keeps its promises though in the middle of it",
		func(ctx context.Context, stock, added int64, victims ...victim) {
			facts, err := sale.Run(ctx, sale.Options{
				Kube: up.Kube, Cluster: up.Cluster, Promotion: withPlenty(up.Promotion, stock), Image: cluster.Images.Demo,
				Run: fmt.Sprintf("%x", time.Now().Unix()), StartIn: 45 * time.Second, Length: 45 * time.Second,
				Buyers: 12_000, InFlight: 128, RushSeconds: 18, Seed: uint64(GinkgoRandomSeed()), // #nosec G115
				Live: func(ctx context.Context, p plan.Plan) error { return disturb(ctx, p, added, victims) },
				Log:  logger(), Progress: GinkgoWriter,
			})
			Expect(err).NotTo(HaveOccurred())
			Expect(report.Broken(facts)).To(BeEmpty())
			By("selling out what is scarce and giving back what is plenty")
			plenty := facts.Plan.Items[len(facts.Plan.Items)-1].SKU
			for _, it := range facts.Items {
				if it.SKU == plenty {
					Expect(it.Left).To(BeNumerically(">", 0), it.SKU)
				} else {
					Expect(it.Left).To(BeZero(), it.SKU)
				}
			}
		},
		Entry("NATS and a worker are killed", NodeTimeout(saleWithin), int64(90_000), int64(0),
			victim{"orderd-eval", "app.kubernetes.io/name=nats"}, victim{"", "app.kubernetes.io/component=worker"}),
		// The sale before gives back more than is added.
		Entry("stock is added, and a flash pod and the operator are killed", NodeTimeout(saleWithin), int64(40_000),
			int64(1000), victim{"", "app.kubernetes.io/component=flash"},
			victim{"orderd-system", "app.kubernetes.io/name=orderd-operator"}),
	)

	It("ends with conditions that kubectl wait and GitOps tools read", func(ctx context.Context) {
		promo := &v1alpha1.PromotionEvent{}
		name := "promotionevent/" + up.Promotion.GetName()
		Expect(up.Kube.Wait(ctx, name, "condition=Settled", time.Minute)).To(Succeed())
		Expect(up.Kube.Wait(ctx, name, "jsonpath={.status.phase}=Settled", time.Minute)).To(Succeed())
		Expect(up.Kube.Get(ctx, name, promo)).To(Succeed())
		expectConditions(promo.Status.Conditions, map[string]metav1.ConditionStatus{
			"Ready": metav1.ConditionTrue, "Reconciling": metav1.ConditionFalse, "Stalled": metav1.ConditionFalse,
			"Settled": metav1.ConditionTrue, "InvariantViolated": metav1.ConditionFalse,
		})
		Expect(promo.Status.ObservedGeneration).To(Equal(promo.Generation))

		Expect(up.Kube.Wait(ctx, "ordercluster/"+up.Cluster.Name, "condition=Ready", 2*time.Minute)).To(Succeed())
		oc := &v1alpha1.OrderCluster{}
		Expect(up.Kube.Get(ctx, "ordercluster/"+up.Cluster.Name, oc)).To(Succeed())
		expectConditions(oc.Status.Conditions, map[string]metav1.ConditionStatus{
			"Ready": metav1.ConditionTrue, "DatabaseReady": metav1.ConditionTrue, "MessagingReady": metav1.ConditionTrue,
			"Migrated": metav1.ConditionTrue,
		})
	})

	It("is shown by kubectl get in columns for people", func(ctx context.Context) {
		table, err := up.Kube.Run(ctx, "get", "oc,promo")
		Expect(err).NotTo(HaveOccurred())
		Expect(table).To(MatchRegexp(`PHASE\s+START\s+END\s+SOLD\s+LEFT\s+READY`))
		Expect(table).To(MatchRegexp(up.Promotion.GetName() + `\s+Settled\s`))
	})

	It("goes away when it is deleted, and leaves nothing behind", func(ctx context.Context) {
		_, err := up.Kube.Run(ctx, "delete", "promotionevent/"+up.Promotion.GetName(), "--timeout=2m")
		Expect(err).NotTo(HaveOccurred())
		_, err = up.Kube.Run(ctx, "get", "promotionevent/"+up.Promotion.GetName())
		Expect(kube.IsNotFound(err)).To(BeTrue())
	})
})

// withPlenty gives the last item more stock than the buyers want, so that some comes back.
func withPlenty(sample *unstructured.Unstructured, stock int64) *unstructured.Unstructured {
	promo := sample.DeepCopy()
	items, found, err := unstructured.NestedSlice(promo.Object, "spec", "items")
	Expect(err).NotTo(HaveOccurred())
	Expect(found).To(BeTrue())
	last, ok := items[len(items)-1].(map[string]any)
	Expect(ok).To(BeTrue())
	last["stock"] = stock
	Expect(unstructured.SetNestedSlice(promo.Object, items, "spec", "items")).To(Succeed())
	return promo
}

// victim is a pod that is killed: one of those with the labels. An empty namespace
// is the OrderCluster's.
type victim struct{ namespace, labels string }

// disturb adds units of the last item to the sale as soon as it is live, and then ends the
// pods without a warning.
func disturb(ctx context.Context, p plan.Plan, added int64, victims []victim) error {
	name := "promotionevent/" + p.Promotion
	if err := up.Kube.Wait(ctx, name, "jsonpath={.status.phase}=Live", time.Minute); err != nil {
		return err
	}
	if added > 0 {
		last := len(p.Items) - 1
		// The plan is what the sale's figures are compared with.
		p.Items[last].Stock += added
		patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/items/%d/stock","value":%d}]`, last, p.Items[last].Stock)
		if _, err := up.Kube.Run(ctx, "patch", name, "--type=json", "--patch="+patch); err != nil {
			return err
		}
	}
	for _, v := range victims {
		k := up.Kube
		if v.namespace != "" {
			k = cluster.Kube(v.namespace)
		}
		pods, err := k.Run(ctx, "get", "pods", "-l", v.labels, "--field-selector=status.phase=Running", "-o", "name")
		if err != nil {
			return err
		}
		names := strings.Fields(pods)
		if len(names) == 0 {
			return fmt.Errorf("no pod to kill: %s", v.labels)
		}
		if _, err := k.Run(ctx, "delete", names[0], "--grace-period=0", "--force"); err != nil {
			return err
		}
		GinkgoWriter.Printf("killed %s %s after the start\n", names[0], time.Since(p.Start))
	}
	return nil
}

func expectConditions(conditions []metav1.Condition, want map[string]metav1.ConditionStatus) {
	GinkgoHelper()
	for name, status := range want {
		c := meta.FindStatusCondition(conditions, name)
		Expect(c).NotTo(BeNil(), name)
		Expect(c.Status).To(Equal(status), "%s: %s", name, kube.Conditions(conditions))
		Expect(c.Reason).NotTo(BeEmpty(), name)
	}
}
