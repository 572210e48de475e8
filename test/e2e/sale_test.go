//go:build e2e

package e2e

import (
	"context"
	"fmt"
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
		func(ctx context.Context, stock int64, length time.Duration, troubles ...trouble) {
			facts, err := sale.Run(ctx, sale.Options{
				Kube: up.Kube, Cluster: up.Cluster, Promotion: withPlenty(up.Promotion, stock), Image: cluster.Images.Demo,
				Run: fmt.Sprintf("%x", time.Now().Unix()), StartIn: 45 * time.Second, Length: length,
				Buyers: 12_000, InFlight: 128, RushSeconds: 18, Seed: uint64(GinkgoRandomSeed()), // #nosec G115
				Live: func(ctx context.Context, p plan.Plan) error { return disturb(ctx, p, troubles) },
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
		Entry("NATS and a worker are killed, and the operator is upgraded", NodeTimeout(saleWithin), int64(90_000),
			45*time.Second, kill("orderd-eval", "app.kubernetes.io/name=nats"), kill("", "app.kubernetes.io/component=worker"),
			upgradeOperator),
		// The sale before gives back more than is added.
		Entry("stock is added, a flash pod is killed, a setting rolls all pods, and the operator is killed",
			NodeTimeout(saleWithin), int64(40_000), 75*time.Second, addStock(1000),
			kill("", "app.kubernetes.io/component=flash"), rollPods,
			kill("orderd-system", "app.kubernetes.io/name=orderd-operator")),
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

func expectConditions(conditions []metav1.Condition, want map[string]metav1.ConditionStatus) {
	GinkgoHelper()
	for name, status := range want {
		c := meta.FindStatusCondition(conditions, name)
		Expect(c).NotTo(BeNil(), name)
		Expect(c.Status).To(Equal(status), "%s: %s", name, kube.Conditions(conditions))
		Expect(c.Reason).NotTo(BeEmpty(), name)
	}
}
