package operator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// columns are what kubectl get shows of the promotion, by the columns' names.
func (w *world) columns(ctx context.Context) map[string]string {
	GinkgoHelper()
	transport, err := rest.HTTPClientFor(kube.Config)
	Expect(err).NotTo(HaveOccurred())
	base, _, err := rest.DefaultServerUrlFor(kube.Config)
	Expect(err).NotTo(HaveOccurred())
	url := base.JoinPath("apis", v1alpha1.GroupVersion.String(), "namespaces", w.namespace,
		"promotionevents", "singles-day")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url.String(), nil)
	Expect(err).NotTo(HaveOccurred())
	req.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	resp, err := transport.Do(req)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	var table metav1.Table
	Expect(json.Unmarshal(raw, &table)).To(Succeed())
	Expect(table.Rows).To(HaveLen(1))
	shown := map[string]string{}
	for i, column := range table.ColumnDefinitions {
		if column.Priority == 0 {
			shown[column.Name] = fmt.Sprint(table.Rows[0].Cells[i])
		}
	}
	return shown
}

var _ = Describe("A PromotionEvent", func() {
	It("that is paused is not shown as live, and may still not be moved", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		Expect(s.columns(ctx)).To(And(HaveKeyWithValue("Phase", "Live"), HaveKeyWithValue("Ready", "True"),
			HaveKeyWithValue("Reason", "Selling")))
		s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.Paused = ptr.To(true) })
		s.events()
		s.reconcile(ctx)
		Expect(s.columns(ctx)).To(And(HaveKeyWithValue("Phase", "Paused"), HaveKeyWithValue("Ready", "False"),
			HaveKeyWithValue("Reason", "Paused")))
		Expect(condition(s.conditions(ctx), "Stalled")).To(Equal("False/AsExpected"))
		Expect(condition(s.conditions(ctx), "Reconciling")).To(Equal("False/AsExpected"))
		Expect(condition(s.conditions(ctx), "Late")).To(Equal("False/InTime"))
		Expect(s.metrics()).To(ContainElement(`orderd_promotion_phase{phase="Paused"} 1`))
		Expect(s.events()).NotTo(ContainSubstring("Warning"))
		p := s.getPromotion(ctx)
		p.Spec.StartTime = metav1.NewTime(s.start.Add(-time.Minute))
		expectRefused(kube.Client.Update(ctx, p), "spec.startTime", "must not change once the promotion is live")
		s.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.Paused = nil })
		s.reconcile(ctx)
		Expect(s.columns(ctx)).To(And(HaveKeyWithValue("Phase", "Live"), HaveKeyWithValue("Ready", "True")))
	}, SpecTimeout(time.Minute))

	It("whose window passed without it is stalled until it is deleted", func(ctx SpecContext) {
		s := newStage(ctx)
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.clock.Set(s.end.Add(time.Minute))
		By("without an OrderCluster")
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "Stalled")).To(Equal("True/NeverOpened"))
		Expect(condition(s.conditions(ctx), "Ready")).To(Equal("False/NeverOpened"))

		By("with one")
		s.cluster(ctx)
		addSKU(ctx, s.pool, "phone", 1000)
		addSKU(ctx, s.pool, "case", 1000)
		for range 2 {
			s.reconcile(ctx)
			Expect(condition(s.conditions(ctx), "Settled")).To(Equal("True/NeverOpened"))
			Expect(condition(s.conditions(ctx), "Ready")).To(Equal("False/NeverOpened"))
			Expect(condition(s.conditions(ctx), "Stalled")).To(Equal("True/NeverOpened"))
			Expect(condition(s.conditions(ctx), "Reconciling")).To(Equal("False/AsExpected"))
		}
		Expect(s.metrics()).To(ContainElement(`orderd_promotion_ready{} 0`))
		Expect(s.columns(ctx)).To(HaveKeyWithValue("Ready", "False"))
		Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
		s.reconcile(ctx)
		Expect(gone(ctx, s.namespace)).To(BeTrue())
	}, SpecTimeout(time.Minute))

	It("that loses its readiness says so at once", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		s.events()
		s.flashPods(ctx, 1)
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "Ready")).To(Equal("False/Provisioning"))
		Expect(condition(s.conditions(ctx), "Late")).To(Equal("True/ReadinessLost"))
		Expect(s.events()).To(ContainSubstring("Warning ReadinessLost not ready any more: FlashPoolReady: 1 of 3"))
		Expect(s.metrics()).To(ContainElement(`orderd_promotion_late{} 1`))
		s.reconcile(ctx)
		Expect(s.events()).NotTo(ContainSubstring("ReadinessLost"), "it was told before")
		s.flashPods(ctx, 3)
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "Late")).To(Equal("False/InTime"))
		Expect(condition(s.conditions(ctx), "Ready")).To(Equal("True/Selling"))
	}, SpecTimeout(time.Minute))

	It("whose OrderCluster is paused says why its pods are missing", func(ctx SpecContext) {
		s := newStage(ctx)
		p := s.promotion().Obj()
		s.live(ctx, p)
		s.changeCluster(ctx, func(spec *v1alpha1.OrderClusterSpec) { spec.Paused = ptr.To(true) })
		s.flashPods(ctx, 1)
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "FlashPoolReady")).To(Equal("False/ClusterPaused"))
		Expect(message(s.conditions(ctx), "Ready")).To(ContainSubstring("OrderCluster shop is paused"))
	}, SpecTimeout(time.Minute))

	It("is not taken by an OrderCluster that is being deleted, which says what it waits for", func(ctx SpecContext) {
		s := newStage(ctx)
		s.cluster(ctx)
		addSKU(ctx, s.pool, "phone", 1000)
		addSKU(ctx, s.pool, "case", 1000)
		c := s.getCluster(ctx)
		c.Finalizers = []string{"orderd.dev/promotions"}
		Expect(kube.Client.Update(ctx, c)).To(Succeed())
		Expect(kube.Client.Delete(ctx, c)).To(Succeed())
		Expect(kube.Client.Create(ctx, s.promotion().Obj())).To(Succeed())
		s.reconcile(ctx)
		Expect(condition(s.conditions(ctx), "StockAllocated")).To(Equal("False/ClusterDeleting"))
		Expect(condition(s.conditions(ctx), "Stalled")).To(Equal("True/ClusterDeleting"))
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 1000}))
		w := s.world
		w.operate()
		Eventually(w.clusterMessage(ctx, v1alpha1.ConditionReady)).Should(ContainSubstring("singles-day (not deleted)"))
	}, SpecTimeout(time.Minute))

	It("that is deleted says how long its log is kept", func(ctx SpecContext) {
		s := newStage(ctx)
		p := s.promotion().Obj()
		p.Spec.Settlement.KeepLog = &metav1.Duration{Duration: 24 * time.Hour}
		s.live(ctx, p)
		s.materialize(s.pool)
		Expect(kube.Client.Delete(ctx, s.getPromotion(ctx))).To(Succeed())
		Eventually(func() string {
			s.reconcile(ctx)
			return condition(s.conditions(ctx), "Ready")
		}).Should(Equal("False/Deleting"))
		Expect(message(s.conditions(ctx), "Ready")).To(ContainSubstring("its log is kept until"))
		Expect(s.reconcile(ctx)).To(BeNumerically("<=", 30*time.Second), "its namespace may go")

		By("going with its namespace, and telling what it leaves in NATS")
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "database"}}
		Expect(kube.Client.Delete(ctx, secret)).To(Succeed())
		Expect(kube.Client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}})).To(Succeed())
		s.events()
		s.reconcile(ctx)
		Expect(gone(ctx, s.namespace)).To(BeTrue())
		told := s.events()
		Expect(told).To(And(ContainSubstring("Warning Abandoned"), ContainSubstring("had been returned"),
			ContainSubstring("left in NATS: streams")))
		Expect(told).NotTo(ContainSubstring("was not returned"))
	}, SpecTimeout(time.Minute))

	It("tells of very many SKUs in one event that the API server takes", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		w.play()
		w.operate()
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		p := makePromotion(w.namespace).Items(manyItems(200)...).Obj()
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		Eventually(w.promotionCondition(ctx, v1alpha1.ConditionStalled)).Should(Equal("True/UnknownSKU"))
		Eventually(func() []string { return w.notes(ctx, "UnknownSKU") }).Should(
			ConsistOf(ContainSubstring("and 190 more")))
	}, SpecTimeout(time.Minute))

	It("says what the API server does not do for it, and stays what it was", func(ctx SpecContext) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		s.events()
		for name, answer := range faultyAnswers {
			By(name)
			c, err := client.NewWithWatch(kube.Config, client.Options{Scheme: kube.Scheme})
			Expect(err).NotTo(HaveOccurred())
			s.reconciler.Client = interceptor.NewClient(c, interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object,
					opts ...client.GetOption,
				) error {
					if _, ok := o.(*v1alpha1.OrderCluster); ok {
						return answer.err
					}
					return c.Get(ctx, key, o, opts...)
				},
			})
			_, err = s.reconciler.Reconcile(ctx,
				ctrl.Request{NamespacedName: types.NamespacedName{Namespace: s.namespace, Name: "singles-day"}})
			Expect(err).To(MatchError(ContainSubstring(answer.words)))
			p := s.getPromotion(ctx)
			Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseLive))
			where := "Reconciling"
			if answer.reason == v1alpha1.ReasonApplyRefused {
				where = "Stalled"
			}
			Expect(condition(p.Status.Conditions, where)).To(Equal("True/" + answer.reason))
			Expect(message(p.Status.Conditions, where)).To(ContainSubstring(answer.words))
			Expect(s.events()).To(ContainSubstring(answer.words))
			s.reconciler.Client = kube.Client
			s.reconcile(ctx)
			Expect(condition(s.conditions(ctx), "Reconciling")).To(Equal("False/AsExpected"))
			Expect(condition(s.conditions(ctx), "Stalled")).To(Equal("False/AsExpected"))
		}
	}, SpecTimeout(time.Minute))
})
