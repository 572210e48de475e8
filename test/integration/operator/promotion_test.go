package operator_test

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

var _ = Describe("A PromotionEvent", func() {
	It("is prepared, opens on time, follows the shop's wishes, and is settled", func(ctx SpecContext) {
		s := newStage(ctx)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "ClusterReady")).To(Equal("False/NotFound"))
		Expect(s.getPromotion(ctx).Status.Phase).To(Equal(v1alpha1.PhasePending))

		By("saying what is missing, and taking nothing until all is there")
		s.cluster(ctx)
		addSKU(ctx, s.pool, "phone", 80)
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("False/UnknownSKU"))
		addSKU(ctx, s.pool, "case", 200)
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("False/InsufficientStock"))
		Expect(message(s.conditions(ctx), "StockAllocated")).To(ContainSubstring("20 of phone"))
		Expect(condition(s.conditions(ctx), "Stalled")).To(Equal("True/InsufficientStock"))
		Expect(levels(ctx, s.pool, "case")).To(Equal(stock.Levels{Available: 200}))
		addSKU(ctx, s.pool, "phone", 120)

		By("opening the partitions, and scaling close to the start only")
		Expect(s.reconcile(ctx)).To(Equal(s.start.Add(-3*time.Minute).Sub(s.clock.Now())), "waiting is computed, not polling")
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 100, Reserved: 100}))
		p := s.getPromotion(ctx)
		Expect(condition(p.Status.Conditions, "PartitionsOpen")).To(Equal("True/Opened"))
		Expect(condition(p.Status.Conditions, "FlashPoolReady")).To(Equal("False/Scheduled"))
		Expect(condition(p.Status.Conditions, "Stalled")).To(Equal("False/AsExpected"))
		Expect(p.Status.Replicas).To(Equal(int32(3)))
		Expect(p.Status.Partitions).To(Equal(int32(4)))
		s.clock.Set(s.start.Add(-2 * time.Minute))
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "FlashPoolReady")).To(Equal("False/Scaling"))
		Expect(s.events()).NotTo(ContainSubstring("NotReadyInTime"))
		s.clock.Set(s.start.Add(-time.Minute))
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "Late")).To(Equal("True/NotReadyInTime"))
		Expect(s.events()).To(ContainSubstring("Warning NotReadyInTime"))

		By("being ready once the pods are there")
		s.flashPods(ctx, 3)
		s.clock.Set(s.start.Add(-30 * time.Second))
		Expect(s.reconcile(ctx)).To(Equal(30 * time.Second))
		p = s.getPromotion(ctx)
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseReady))
		Expect(condition(p.Status.Conditions, "Ready")).To(Equal("True/ReadyToStart"))
		Expect(condition(p.Status.Conditions, "Late")).To(Equal("False/InTime"))
		Expect(p.Status.ReadyTime.Time.Equal(s.start.Add(-30 * time.Second))).To(BeTrue())
		flash := s.sell()
		Eventually(func() string { return buy(ctx, flash, "early", "phone") }).Should(Equal("NOT_STARTED"))

		By("selling from the start on")
		s.clock.Set(s.start)
		s.reconcile(ctx)
		Expect(s.getPromotion(ctx).Status.Phase).To(Equal(v1alpha1.PhaseLive))
		buyMany(ctx, flash, "phone", 30)
		Expect(s.reconcile(ctx)).To(Equal(2 * time.Second))
		p = s.getPromotion(ctx)
		Expect(*p.Status.Sold).To(Equal(int64(30)))
		Expect(*p.Status.Left).To(Equal(int64(120)))
		Expect(p.Status.Items).To(ConsistOf(itemStatus("phone", 100, 30, 70, nil), itemStatus("case", 50, 0, 50, nil)))

		Expect(s.metrics()).To(ContainElements(`orderd_promotion_phase{phase="Live"} 1`, `orderd_promotion_ready{} 1`,
			`orderd_promotion_late{} 0`, `orderd_promotion_seconds_to_start{} 0`,
			`orderd_promotion_units{kind="sold",sku="phone"} 30`, `orderd_promotion_units{kind="left",sku="phone"} 70`))

		By("pausing, switching an item off, and extending")
		change := func(f func(*v1alpha1.PromotionEventSpec)) {
			p := s.getPromotion(ctx)
			f(&p.Spec)
			Expect(kube.Client.Update(ctx, p)).To(Succeed())
			s.reconcile(ctx)
		}
		change(func(spec *v1alpha1.PromotionEventSpec) { spec.Paused = ptr.To(true) })
		Eventually(func() (bool, error) {
			shown, err := flash.FlashService().GetPromotion(ctx,
				&flashv1.GetPromotionRequest{Promotion: s.getPromotion(ctx).Name})
			return shown.GetPaused(), err
		}).Should(BeTrue())
		Expect(buy(ctx, flash, "paused", "case")).To(Equal("PAUSED"))
		Expect(condition(s.conditions(ctx), "Paused")).To(Equal("True/PausedBySpec"))
		change(func(spec *v1alpha1.PromotionEventSpec) { spec.Paused, spec.Items[1].Off = nil, ptr.To(true) })
		Eventually(func() string { return buy(ctx, flash, "off", "case") }).Should(Equal("ITEM_OFF"))
		extended := s.end.Add(time.Hour)
		change(func(spec *v1alpha1.PromotionEventSpec) {
			spec.EndTime, spec.Items[1].Off = metav1.NewTime(extended), nil
		})
		s.clock.Set(s.end.Add(time.Minute))
		buyMany(ctx, flash, "case", 5)

		By("settling after the end")
		s.clock.Set(extended)
		s.materialize(s.pool)
		Expect(s.reconcile(ctx)).To(Equal(2*time.Second), "the end passes on every pod's clock first")
		Expect(s.getPromotion(ctx).Status.Phase).To(Equal(v1alpha1.PhaseDraining))
		Eventually(func() string { return buy(ctx, flash, "late", "phone") }).Should(Equal("ENDED"))
		s.clock.Set(extended.Add(2 * time.Second))
		s.reconcile(ctx)
		p = s.getPromotion(ctx)
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseSettled))
		Expect(condition(p.Status.Conditions, "Settled")).To(Equal("True/Settled"))
		Expect(condition(p.Status.Conditions, "InvariantViolated")).To(Equal("False/Proved"))
		Expect(condition(p.Status.Conditions, "Ready")).To(Equal("True/Settled"))
		Expect(condition(p.Status.Conditions, "Reconciling")).To(Equal("False/AsExpected"))
		Expect(p.Status.Items).To(ConsistOf(
			itemStatus("phone", 100, 30, 70, ptr.To[int64](70)), itemStatus("case", 50, 5, 45, ptr.To[int64](45))))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 170, Reserved: 30}))
		Expect(levels(ctx, s.pool, "case")).To(Equal(stock.Levels{Available: 195, Reserved: 5}))
		told := s.events()
		for _, reason := range []string{"Normal Ready", "Normal Live", "Normal Closed", "Normal Settled"} {
			Expect(told).To(ContainSubstring(reason))
		}

		By("keeping the log until the promotion is deleted")
		_, err := s.js.Stream(ctx, plog.StreamNames(string(p.UID), 1)[0])
		Expect(err).NotTo(HaveOccurred())
		Expect(kube.Client.Delete(ctx, p)).To(Succeed())
		s.reconcile(ctx)
		Expect(gone(ctx, s.namespace)).To(BeTrue())
		_, err = s.js.Stream(ctx, plog.StreamNames(string(p.UID), 1)[0])
		Expect(err).To(MatchError(jetstream.ErrStreamNotFound))
		bucket, err := s.js.KeyValue(ctx, prepare.PromotionsBucket)
		Expect(err).NotTo(HaveOccurred())
		_, err = bucket.Get(ctx, string(p.UID))
		Expect(err).To(MatchError(jetstream.ErrKeyNotFound))
	}, SpecTimeout(2*time.Minute))

	It(
		"is drained and settled before a deletion goes through, and keeps its log as long as it was told to",
		func(ctx SpecContext) {
			s := newStage(ctx)
			p := s.promotion().Obj()
			p.Spec.Settlement.KeepLog = &metav1.Duration{Duration: time.Hour}
			s.live(ctx, p)
			flash := s.sell()
			buyMany(ctx, flash, "case", 7)
			s.materialize(s.pool)

			p = s.getPromotion(ctx)
			Expect(kube.Client.Delete(ctx, p)).To(Succeed())
			// The API server's clock says when it was deleted: it is the end now.
			s.reconcile(ctx)
			Eventually(func() string { return buy(ctx, flash, "late", "case") }).Should(Equal("ENDED"))
			p = s.getPromotion(ctx)
			Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseSettled))
			Expect(levels(ctx, s.pool, "case")).To(Equal(stock.Levels{Available: 993, Reserved: 7}))
			Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 1000}))
			_, err := s.js.Stream(ctx, plog.StreamNames(string(p.UID), 1)[0])
			Expect(err).NotTo(HaveOccurred())
			s.clock.Set(s.start.Add(time.Hour + time.Second))
			s.reconcile(ctx)
			Expect(gone(ctx, s.namespace)).To(BeTrue())
			_, err = s.js.Stream(ctx, plog.StreamNames(string(p.UID), 1)[0])
			Expect(err).To(MatchError(jetstream.ErrStreamNotFound))
		},
		SpecTimeout(time.Minute),
	)

	It("keeps a log that nobody asked for a week, and no deletion waits for it", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		s.materialize(s.pool)
		s.clock.Set(s.end.Add(time.Minute))
		s.reconcile(ctx)
		p := s.getPromotion(ctx)
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseSettled))
		stream := plog.StreamNames(string(p.UID), 1)[0]
		s.clock.Set(p.Status.SettledTime.Add(7*24*time.Hour - time.Minute))
		s.reconcile(ctx)
		_, err := s.js.Stream(ctx, stream)
		Expect(err).NotTo(HaveOccurred())
		s.clock.Set(p.Status.SettledTime.Add(7*24*time.Hour + time.Minute))
		s.reconcile(ctx)
		_, err = s.js.Stream(ctx, stream)
		Expect(err).To(MatchError(jetstream.ErrStreamNotFound))
		p = s.getPromotion(ctx)
		Expect(p.Status.LogRemovedTime.IsZero()).To(BeFalse())
		Expect(condition(p.Status.Conditions, "Ready")).To(Equal("True/Settled"))
	}, SpecTimeout(time.Minute))

	It("goes at once if it is deleted before anything was taken", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("False/UnknownSKU"))
		Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
		s.clock.Set(time.Now().Add(time.Minute))
		s.reconcile(ctx)
		Expect(gone(ctx, s.namespace)).To(BeTrue())
	}, SpecTimeout(time.Minute))

	It("says so if its window passed before it could open", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		addSKU(ctx, s.pool, "phone", 1000)
		addSKU(ctx, s.pool, "case", 1000)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.clock.Set(s.end.Add(time.Minute))
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "Settled")).To(Equal("True/NeverOpened"))
		Expect(s.getPromotion(ctx).Status.Phase).To(Equal(v1alpha1.PhaseSettled))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 1000}))
		Expect(s.events()).To(ContainSubstring("Warning NeverOpened"))
	}, SpecTimeout(time.Minute))

	It("says so if the flash pool may not be as large as it needs", func(ctx SpecContext) {
		s := newStage(ctx)
		p := s.promotion().Obj()
		p.Spec.Traffic.ExpectedPeakRPS = 4000
		s.live(ctx, p)
		Expect(condition(s.conditions(ctx), "FlashPoolReady")).To(Equal("False/MaxReplicasReached"))
		Expect(condition(s.conditions(ctx), "Ready")).To(Equal("False/Provisioning"))
		Expect(condition(s.conditions(ctx), "Late")).To(Equal("True/NotReadyAtStart"))
	}, SpecTimeout(time.Minute))

	It("waits for messaging that is away, and settles once it is back", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		buyMany(ctx, s.sell(), "phone", 3)
		s.materialize(s.pool)
		s.nats.Stop()
		s.clock.Set(s.end.Add(time.Minute))
		s.reconcile(ctx)
		p := s.getPromotion(ctx)
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseDraining))
		Expect(condition(p.Status.Conditions, "Settled")).To(Equal("False/MessagingError"))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 900, Reserved: 100}))
		s.nats.Restart()
		Eventually(func() string {
			s.reconcile(ctx)
			return condition(s.conditions(ctx), "Settled")
		}).Should(Equal("True/Settled"))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 997, Reserved: 3}))
	}, SpecTimeout(2*time.Minute))

	It("is not settled, and nothing is repaired, if database and log disagree", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		flash := s.sell()
		buyMany(ctx, flash, "phone", 10)
		s.materialize(s.pool)
		uid := string(s.getPromotion(ctx).UID)
		Eventually(func() int64 {
			var n int64
			Expect(s.pool.QueryRow(ctx, "SELECT count(*) FROM orders WHERE promotion_uid = $1", uid).Scan(&n)).To(Succeed())
			return n
		}).Should(Equal(int64(10)))
		_, err := s.pool.Exec(
			ctx,
			"UPDATE order_lines SET quantity = quantity + 1 WHERE order_id = (SELECT min(order_id::text) FROM orders WHERE promotion_uid = $1)::uuid",
			uid,
		)
		Expect(err).NotTo(HaveOccurred())
		s.events()
		s.clock.Set(s.end.Add(time.Minute))
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "InvariantViolated")).To(Equal("True/DatabaseMismatch"))
		Expect(message(s.conditions(ctx), "InvariantViolated")).To(Equal("phone: sold 10 in the log, 11 in the database"))
		Expect(condition(s.conditions(ctx), "Stalled")).To(Equal("True/DatabaseMismatch"))
		Expect(condition(s.conditions(ctx), "Settled")).To(Equal("False/DatabaseMismatch"))
		Expect(s.getPromotion(ctx).Status.Phase).To(Equal(v1alpha1.PhaseDraining))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 900, Reserved: 100}))
		Expect(s.events()).To(ContainSubstring("Warning InvariantViolated"))
	}, SpecTimeout(time.Minute))

	It("says so if nobody can have the token that orders need", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		p := s.promotion().Obj()
		p.Spec.Admission = v1alpha1.AdmissionSpec{Required: ptr.To(true), Until: metav1.NewTime(time.Now().Add(-time.Hour))}
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		s.reconcile(ctx)
		s.reconcile(ctx)
		addSKU(ctx, s.pool, "phone", 1000)
		addSKU(ctx, s.pool, "case", 1000)
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "Stalled")).To(Equal("True/NoAdmission"))
	}, SpecTimeout(time.Minute))

	It("is let go with its namespace, once nothing leads to its stock any more", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "database"}}
		Expect(kube.Client.Delete(ctx, secret)).To(Succeed())
		s.clock.Set(s.getPromotion(ctx).DeletionTimestamp.Add(3 * time.Second))
		s.reconcile(ctx)
		Expect(gone(ctx, s.namespace)).To(BeFalse(), "the Secret may come back")
		Expect(kube.Client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}})).To(Succeed())
		Expect(
			s.reconciler.Reconcile(ctx,
				ctrl.Request{NamespacedName: types.NamespacedName{Namespace: s.namespace, Name: "singles-day"}}),
		).To(BeZero())
		Expect(gone(ctx, s.namespace)).To(BeTrue())
		Expect(s.events()).To(ContainSubstring("Warning Abandoned"))
	}, SpecTimeout(time.Minute))
})
