package operator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// manyItems have SKUs as long as they may be, and every field set.
func manyItems(n int) []v1alpha1.PromotionItem {
	items := make([]v1alpha1.PromotionItem, n)
	for i := range items {
		items[i] = v1alpha1.PromotionItem{
			SKU: fmt.Sprintf("sku-%04d-%s", i, strings.Repeat("x", 55)), Price: ptr.To[int64](199900), Stock: 100_000,
			LimitPerBuyer: ptr.To[int32](2), Off: ptr.To(false),
		}
	}
	return items
}

var _ = Describe("A PromotionEvent with 1,000 items", func() {
	It("is created, changed and refused by the API server as a small one is", func(ctx SpecContext) {
		p := makePromotion(newNamespace(ctx)).Items(manyItems(1000)...).Obj()
		p.Spec.Streams, p.Spec.Partitions = ptr.To[int32](4), ptr.To[int32](64)
		begin := time.Now()
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		AddReportEntry("created", time.Since(begin).Round(time.Millisecond))
		p.Status.Phase = v1alpha1.PhaseLive
		for i, item := range p.Spec.Items {
			p.Status.Items = append(p.Status.Items, v1alpha1.PromotionItemStatus{
				SKU: item.SKU, Stream: ptr.To(int32(i % 4)), Allocated: ptr.To(item.Stock), Sold: ptr.To(item.Stock), Left: ptr.To(item.Stock), Returned: ptr.To(item.Stock),
			})
		}
		Expect(kube.Client.Status().Update(ctx, p)).To(Succeed())
		raw, err := json.Marshal(p)
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("bytes in etcd, about", len(raw))
		Expect(len(raw)).To(BeNumerically("<", 1_300_000), "etcd takes 1.5 MiB")

		change := func(f func(*v1alpha1.PromotionEventSpec)) error {
			next := p.DeepCopy()
			f(&next.Spec)
			return kube.Client.Update(ctx, next, client.DryRunAll)
		}
		begin = time.Now()
		Expect(change(func(s *v1alpha1.PromotionEventSpec) { s.Items[700].Stock++ })).To(Succeed())
		AddReportEntry("topped up", time.Since(begin).Round(time.Millisecond))
		Expect(change(func(s *v1alpha1.PromotionEventSpec) {
			for i := range s.Items {
				s.Items[i].Stock++
				s.Items[i].Off = ptr.To(true)
			}
		})).To(Succeed())
		expectRefused(change(func(s *v1alpha1.PromotionEventSpec) { s.Items[999].Stock-- }), "spec.items[999].stock", "never shrink")
		expectRefused(change(func(s *v1alpha1.PromotionEventSpec) { s.Items[500].Price = ptr.To[int64](1) }), "spec.items[500].price", "must not change")
		expectRefused(change(func(s *v1alpha1.PromotionEventSpec) { s.Items[999].SKU = "other" }), "spec.items", "no sku may be added, removed or moved")
		expectRefused(change(func(s *v1alpha1.PromotionEventSpec) { s.Items = s.Items[:999] }), "spec.items", "no sku may be added, removed or moved")
		p.Status.Phase = v1alpha1.PhaseDraining
		Expect(kube.Client.Status().Update(ctx, p)).To(Succeed())
		expectRefused(change(func(s *v1alpha1.PromotionEventSpec) { s.Items[3].Stock++ }), "spec.items", "must not grow once the promotion has ended")
	}, SpecTimeout(time.Minute))
})
