package operator_test

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

var _ = Describe("The end of a sale", func() {
	It("is by JetStream's clock, whatever the operator's own says", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		addSKU(ctx, s.pool, "phone", 200)
		addSKU(ctx, s.pool, "case", 200)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.reconcile(ctx)

		By("waiting when the node's clock is an hour ahead")
		s.reconciler.ServerTime = nil
		s.clock.Set(s.end.Add(time.Hour))
		wait := s.reconcile(ctx)
		Expect(wait).To(BeNumerically(">", time.Hour), "the real NATS server's clock is before the start")
		c := s.conditions(ctx)
		Expect(condition(c, "Settled")).To(Equal("False/Draining"))
		Expect(message(c, "Settled")).To(ContainSubstring("by JetStream's clock"))
		Expect(condition(c, "PartitionsOpen")).To(Equal("True/Opened"))

		By("closing nothing while it cannot be read")
		s.reconciler.ServerTime = func(context.Context) (time.Time, error) { return time.Time{}, errors.New("nobody knows") }
		s.reconcileOnce(ctx)
		Expect(condition(s.conditions(ctx), "Settled")).To(Equal("False/ClockUnknown"))
		Expect(condition(s.conditions(ctx), "PartitionsOpen")).To(Equal("True/Opened"))

		By("closing when it has passed by that clock")
		s.reconciler.ServerTime = func(context.Context) (time.Time, error) { return s.end.Add(3 * time.Second), nil }
		Eventually(func() string {
			s.reconcileOnce(ctx)
			return condition(s.conditions(ctx), "PartitionsOpen")
		}).Should(Equal("False/Closed"))
	}, SpecTimeout(2*time.Minute))

	It("is stored before anything is closed, so that no extension crosses it", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		addSKU(ctx, s.pool, "phone", 200)
		addSKU(ctx, s.pool, "case", 200)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.reconcile(ctx)
		// The operator was away at the end: it comes back when all could be closed.
		s.clock.Set(s.end.Add(time.Minute))
		s.reconcileOnce(ctx)
		p := s.getPromotion(ctx)
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseDraining))
		Expect(condition(p.Status.Conditions, "PartitionsOpen")).To(Equal("True/Opened"), "nothing is closed yet")
		p.Spec.EndTime = metav1.NewTime(p.Spec.EndTime.Add(time.Hour))
		expectRefused(kube.Client.Update(ctx, p), "spec.endTime", "must not change once the promotion has ended")
		Eventually(func() string {
			s.reconcileOnce(ctx)
			return condition(s.conditions(ctx), "PartitionsOpen")
		}).Should(Equal("False/Closed"))
	}, SpecTimeout(2*time.Minute))
})
