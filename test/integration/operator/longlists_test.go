package operator_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// longItems are n items of names as long as they may be, that all lack what the shop has.
func longItems(n int) []v1alpha1.PromotionItem {
	var items []v1alpha1.PromotionItem
	for i := range n {
		items = append(items, v1alpha1.PromotionItem{
			SKU: fmt.Sprintf("sku-%03d-%s", i, strings.Repeat("x", 56)), Price: ptr.To[int64](100), Stock: 100,
		})
	}
	return items
}

// allNotes are those of all events of a namespace, each of which the API server has taken.
func (w *world) allNotes(ctx context.Context) []string {
	GinkgoHelper()
	var list eventsv1.EventList
	Expect(kube.Client.List(ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
	var notes []string
	for i := range list.Items {
		notes = append(notes, list.Items[i].Note)
	}
	return notes
}

var _ = Describe("Long lists in events", func() {
	It("are cut to what the API server takes: SKUs that are short, switched off, limited and topped up",
		func(ctx SpecContext) {
			const n = 100
			s := newStage(ctx)
			s.cluster(ctx)
			items := longItems(n)
			for _, item := range items {
				addSKU(ctx, s.pool, item.SKU, 0)
			}
			Expect(kube.Client.Create(ctx, s.promotion().Items(items...).Obj())).To(Succeed())
			s.reconcile(ctx)
			Expect(condition(s.conditions(ctx), v1alpha1.ConditionStockAllocated)).To(Equal("False/InsufficientStock"))
			for _, item := range items {
				addSKU(ctx, s.pool, item.SKU, 1000)
			}
			s.clock.Set(s.clock.Now().Add(10 * time.Minute))
			s.reconcile(ctx)
			Expect(condition(s.conditions(ctx), v1alpha1.ConditionStockAllocated)).To(Equal("True/Allocated"))
			s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) {
				for i := range spec.Items {
					spec.Items[i].Off, spec.Items[i].LimitPerBuyer = ptr.To(true), ptr.To[int32](3)
					spec.Items[i].Stock++
				}
			})
			s.reconcile(ctx)
			told := strings.Split(s.events(), "\n")
			for _, reason := range []string{"InsufficientStock", "ItemsSwitchedOff", "LimitsChanged", "StockAdded"} {
				Expect(told).To(ContainElement(And(ContainSubstring(" "+reason+" "), ContainSubstring("sku-000-"))), reason)
			}
			for _, note := range told {
				_, text, _ := strings.Cut(note, " ")
				_, text, _ = strings.Cut(text, " ")
				Expect(len(text)).To(BeNumerically("<=", 1024), "the API server refuses a longer one: %s", note)
			}
		}, SpecTimeout(3*time.Minute))

	It("are cut to what the API server takes: Secrets that are missing, and what is insecure", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		w.play()
		w.operate()
		c := makeCluster(w.namespace, w.nats.URL()).Obj()
		for i := range 16 {
			c.Spec.Carriers = append(c.Spec.Carriers, v1alpha1.CarrierSpec{
				Name: fmt.Sprintf("%02d-%s", i, strings.Repeat("x", 29)), URL: "http://carrier.example", Insecure: ptr.To(true),
				SecretRef: v1alpha1.SecretKeyReference{
					Name: fmt.Sprintf("%02d-%s", i, strings.Repeat("s", 200)), Key: strings.Repeat("k", 200),
				},
			})
		}
		Expect(kube.Client.Create(ctx, c)).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionApplied)).Should(Equal("False/SecretNotFound"))
		for i := range 16 {
			missing := fmt.Sprintf("Secret %02d-%s", i, strings.Repeat("s", 200))
			Expect(w.clusterMessage(ctx, v1alpha1.ConditionApplied)()).To(ContainSubstring(missing))
			Eventually(func() []string { return w.allNotes(ctx) }).Should(ContainElement(HavePrefix(missing)))
		}
		Eventually(func() []string { return w.notes(ctx, v1alpha1.ReasonInsecure) }).Should(
			ContainElement(And(ContainSubstring("carriers[00-"), HaveSuffix("…"))))
		Expect(w.clusterMessage(ctx, v1alpha1.ConditionSecure)()).To(ContainSubstring("carriers[15-"), "conditions have room")
	}, SpecTimeout(2*time.Minute))

	It("are cut to what people read: promotions that a deleted OrderCluster waits for", func(ctx SpecContext) {
		p := newPlatform(ctx)
		for i := range 30 {
			Expect(kube.Client.Create(ctx, makePromotion(p.namespace).Named(fmt.Sprintf("sale-%02d-%s", i,
				strings.Repeat("x", 50))).Obj())).To(Succeed())
		}
		_, err := p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(kube.Client.Delete(ctx, p.getCluster(ctx))).To(Succeed())
		_, err = p.reconcile(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.clusterMessage(ctx, v1alpha1.ConditionReady)()).To(
			And(ContainSubstring("sale-00-"), HaveSuffix("and 20 more")))
	}, SpecTimeout(3*time.Minute))
})
