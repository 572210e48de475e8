//go:build e2e

package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/hack/demo/kube"
)

var _ = DescribeTable(
	"a bad resource is refused with the field's name",
	func(ctx context.Context, field string, spoil func(spec map[string]any)) {
		promo := up.Promotion.DeepCopy()
		promo.SetName("bad")
		spec, ok := promo.Object["spec"].(map[string]any)
		Expect(ok).To(BeTrue())
		start := time.Now().Add(time.Hour).UTC()
		spec["startTime"], spec["endTime"] = start.Format(time.RFC3339), start.Add(time.Hour).Format(time.RFC3339)
		spoil(spec)
		manifest, err := kube.Manifest(promo.Object)
		Expect(err).NotTo(HaveOccurred())
		err = up.Kube.Apply(ctx, manifest)
		Expect(err).To(MatchError(ContainSubstring(field)))
		_, err = up.Kube.Run(ctx, "get", "promotionevent/bad")
		Expect(kube.IsNotFound(err)).To(BeTrue(), "it was made all the same")
	},
	Entry("an end before the start", "spec.endTime", func(s map[string]any) { s["endTime"] = "2020-01-01T00:00:00Z" }),
	Entry("no items", "spec.items", func(s map[string]any) { s["items"] = []any{} }),
	Entry("a price below nothing", "spec.items[0].price", func(s map[string]any) { first(s)["price"] = int64(-1) }),
	Entry("no stock", "spec.items[0].stock", func(s map[string]any) { first(s)["stock"] = int64(0) }),
	Entry("a SKU with spaces", "spec.items[0].sku", func(s map[string]any) { first(s)["sku"] = "a b" }),
	Entry("a currency that is none", "spec.currency", func(s map[string]any) { s["currency"] = "euro" }),
	Entry("too many partitions", "spec.partitions", func(s map[string]any) { s["partitions"] = int64(100_000) }),
	Entry("a time-out that is no duration", "spec.paymentTimeout",
		func(s map[string]any) { s["paymentTimeout"] = "soon" }),
	Entry("a field that there is not", "spec.itmes", func(s map[string]any) { s["itmes"] = []any{} }),
)

func first(spec map[string]any) map[string]any {
	items, _, err := unstructured.NestedSlice(map[string]any{"spec": spec}, "spec", "items")
	Expect(err).NotTo(HaveOccurred())
	spec["items"] = items
	item, ok := items[0].(map[string]any)
	Expect(ok).To(BeTrue())
	return item
}

var _ = Describe("the sample OrderCluster", func() {
	It("is secure but for what one NATS server cannot be", func(ctx context.Context) {
		oc := &v1alpha1.OrderCluster{}
		Expect(up.Kube.Get(ctx, "ordercluster/"+up.Cluster.Name, oc)).To(Succeed())
		c := meta.FindStatusCondition(oc.Status.Conditions, v1alpha1.ConditionSecure)
		Expect(c).NotTo(BeNil())
		Expect(c.Message).To(ContainSubstring("messaging.replicas is 1"))
		Expect(c.Message).NotTo(Or(ContainSubstring("://"), ContainSubstring("insecure")), "something is in clear text")
	})
})
