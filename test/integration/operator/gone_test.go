package operator_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// letGo is what the chart's README says to do when a promotion can never be settled:
// kubectl patch promo singles-day --type=merge -p '{"metadata":{"finalizers":null}}'.
func (s *stage) letGo(ctx context.Context) {
	GinkgoHelper()
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	Expect(kube.Client.Patch(ctx, s.getPromotion(ctx), patch)).To(Succeed())
	s.reconcileOnce(ctx)
	Expect(gone(ctx, s.namespace)).To(BeTrue())
}

var _ = Describe("A promotion that can never be settled", func() {
	It("says that its database does not answer, ends when it is deleted, and can be let go", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		flash := s.sell()
		buyMany(ctx, flash, "phone", 1)
		uid := string(s.getPromotion(ctx).UID)
		s.secret(ctx, "database", "url", "postgres://u:p@127.0.0.1:9/d?sslmode=disable")
		Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
		s.clock.Set(s.start.Add(time.Minute))
		Eventually(func() string {
			s.reconcileOnce(ctx)
			return condition(s.conditions(ctx), v1alpha1.ConditionSettled)
		}).Should(Equal("False/DatabaseError"))
		Expect(message(s.conditions(ctx), v1alpha1.ConditionSettled)).To(
			Equal("the database does not answer; it is tried again"))
		Expect(condition(s.conditions(ctx), v1alpha1.ConditionReady)).To(Equal("False/Draining"))
		Eventually(func() string { return buy(ctx, flash, "late", "phone") }).ShouldNot(BeEmpty())

		s.letGo(ctx)
		Expect(s.streams(ctx)).To(ContainElement(sale.StreamNames(uid, 1)[0]), "the log is left")
		Expect(s.published(ctx, uid)).NotTo(BeNil())
	}, SpecTimeout(3*time.Minute))

	It("says that its log cannot be closed, and leaves its stock taken when it is let go", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		uid := string(s.getPromotion(ctx).UID)
		s.nats.Stop()
		Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
		s.clock.Set(s.start.Add(time.Minute))
		Eventually(func() string {
			s.reconcileOnce(ctx)
			return condition(s.conditions(ctx), v1alpha1.ConditionSettled)
		}).Should(Equal("False/MessagingError"))
		Expect(condition(s.conditions(ctx), v1alpha1.ConditionReady)).To(Equal("False/Draining"))

		s.letGo(ctx)
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 900, Reserved: 100}))
		s.nats.Restart()
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		Eventually(func() string {
			s.reconcileOnce(ctx)
			return condition(s.conditions(ctx), "StockAllocated")
		}).Should(Equal("False/StockHeld"), "its name is not free")
		Expect(message(s.conditions(ctx), "StockAllocated")).To(ContainSubstring(uid))
	}, SpecTimeout(3*time.Minute))
})
