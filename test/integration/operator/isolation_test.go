package operator_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// otherCluster reads the OrderCluster of another name.
func (w *world) otherCluster(ctx context.Context, name string) *v1alpha1.OrderCluster {
	GinkgoHelper()
	c := &v1alpha1.OrderCluster{}
	Expect(kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, c)).To(Succeed())
	return c
}

// silentServer takes connections and never says anything.
func silentServer() (address string) {
	GinkgoHelper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Close)
	go func() {
		var taken []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			taken = append(taken, conn)
		}
		for _, conn := range taken {
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// published is what the pods are told of a promotion; nil: nothing.
func (w *world) published(ctx context.Context, uid string) *flashv1.Promotion {
	bucket, err := w.js.KeyValue(ctx, prepare.PromotionsBucket)
	if err != nil {
		return nil
	}
	entry, err := bucket.Get(ctx, uid)
	if err != nil {
		return nil
	}
	promo := &flashv1.Promotion{}
	if proto.Unmarshal(entry.Value(), promo) != nil {
		return nil
	}
	return promo
}

var _ = Describe("Two OrderClusters on one NATS account", func() {
	const inUse = "False/AccountInUse"

	It("are told apart: the second touches nothing until the first is deleted", func(ctx SpecContext) {
		w, pool := migratedWorld(ctx, time.Now)
		addSKU(ctx, pool, "phone", 1000)
		addSKU(ctx, pool, "case", 1000)
		w.secret(ctx, "database-of-first", "url", testdb.NewMigrated(GinkgoTB()))
		first := makeCluster(w.namespace, w.nats.URL()).Named("first").Obj()
		first.Spec.Database.URLSecretRef.Name = "database-of-first"
		Expect(kube.Client.Create(ctx, first)).To(Succeed())
		w.play()
		w.operate()
		firstIs := func(kind string) func() string {
			return func() string { return condition(w.otherCluster(ctx, "first").Status.Conditions, kind) }
		}
		Eventually(firstIs(v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))

		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionMessagingReady)).Should(Equal(inUse))
		Expect(w.clusterMessage(ctx, v1alpha1.ConditionMessagingReady)()).To(Equal(fmt.Sprintf(
			"the NATS account is in use by OrderCluster %[1]s/first (UID %[2]s): each OrderCluster needs a NATS account of"+
				" its own. If that one is gone for good, this one takes over the account and what is in it by:"+
				" kubectl annotate -n %[1]s ordercluster shop orderd.dev/take-nats-account-of=%[2]s",
			w.namespace, first.UID)))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionStalled)).Should(Equal("True/AccountInUse"))
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionMigrated)).Should(Equal("True/Migrated"))
		_, err := w.deployment(ctx, "worker")
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "its worker would take the first one's orders: %v", err)

		By("telling the pods of the first nothing of the second's promotion")
		p := makePromotion(w.namespace).Obj()
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		Eventually(func() string {
			return message(w.getPromotion(ctx).Status.Conditions, v1alpha1.ConditionPartitionsOpen)
		}).Should(ContainSubstring("in use by OrderCluster " + w.namespace + "/first"))
		bucket, err := w.js.KeyValue(ctx, prepare.PromotionsBucket)
		Expect(err).NotTo(HaveOccurred())
		_, err = bucket.Keys(ctx)
		Expect(err).To(MatchError(jetstream.ErrNoKeysFound))
		Expect(firstIs(v1alpha1.ConditionMessagingReady)()).To(Equal("True/Connected"))

		By("deleting the first")
		Expect(kube.Client.Delete(ctx, w.otherCluster(ctx, "first"))).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		Eventually(w.promotionCondition(ctx, v1alpha1.ConditionPartitionsOpen)).Should(HavePrefix("True/"))
		Expect(w.published(ctx, string(p.UID))).NotTo(BeNil())
	}, NodeTimeout(3*time.Minute))

	It("change places on purpose only", func(ctx SpecContext) {
		w, _ := migratedWorld(ctx, time.Now)
		gone := sale.Owner{Namespace: "elsewhere", Name: "shop", UID: "0123"}
		Expect(sale.ClaimAccount(ctx, w.js, gone, 1)).To(Succeed())
		w.play()
		w.operate()
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		Eventually(w.clusterMessage(ctx, v1alpha1.ConditionMessagingReady)).Should(
			HavePrefix("the NATS account is in use by OrderCluster elsewhere/shop (UID 0123)"))
		_, err := w.js.KeyValue(ctx, prepare.PromotionsBucket)
		Expect(err).To(MatchError(jetstream.ErrBucketNotFound))

		By("taking it over as the message says")
		Eventually(func() error {
			c := w.getCluster(ctx)
			metav1.SetMetaDataAnnotation(&c.ObjectMeta, v1alpha1.AnnotationTakeAccount, "0123")
			return kube.Client.Update(ctx, c)
		}).Should(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		own := sale.Owner{Namespace: w.namespace, Name: "shop", UID: string(w.getCluster(ctx).UID)}
		Expect(sale.CheckAccount(ctx, w.js, own)).To(Succeed())

		By("losing it to another one that takes it over")
		other := sale.Owner{Namespace: "elsewhere", Name: "shop", UID: "4567"}
		Expect(sale.ClaimAccount(ctx, w.js, other, 1, own.UID)).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionMessagingReady)).Should(Equal(inUse))
		_, err = w.deployment(ctx, "worker")
		Expect(err).NotTo(HaveOccurred(), "what runs is left as it is")
	}, NodeTimeout(3*time.Minute))
})

var _ = Describe("An OrderCluster beside one whose database and NATS never answer", func() {
	It("has its promotions opened, and their levers heard, as if it were alone", func(ctx SpecContext) {
		w, pool := migratedWorld(ctx, time.Now)
		addSKU(ctx, pool, "phone", 1000)
		addSKU(ctx, pool, "case", 1000)
		dead := makeCluster(w.namespace, "nats://"+silentServer()).Named("dead").Obj()
		dead.Spec.Database.URLSecretRef.Name = "silent"
		w.secret(ctx, "silent", "url", "postgres://u:p@"+silentServer()+"/d?sslmode=disable")
		Expect(kube.Client.Create(ctx, dead)).To(Succeed())
		dead.Status.UID, dead.Status.Migration.Revision = string(dead.UID), "test"
		Expect(kube.Client.Status().Update(ctx, dead)).To(Succeed())
		// More than the operator has workers, and some that already have stock: those want NATS.
		for i := range 24 {
			p := makePromotion(w.namespace).Named(fmt.Sprintf("dead-%d", i)).Obj()
			p.Spec.OrderClusterRef.Name = "dead"
			Expect(kube.Client.Create(ctx, p)).To(Succeed())
			if i%2 == 0 {
				continue
			}
			p.Status.UID = string(p.UID)
			p.Status.Conditions = []metav1.Condition{{
				Type: v1alpha1.ConditionStockAllocated, Status: metav1.ConditionTrue, Reason: "StockAllocated",
				LastTransitionTime: metav1.Now(),
			}}
			Expect(kube.Client.Status().Update(ctx, p)).To(Succeed())
		}
		w.play()
		w.operate()
		unreachable := func() string {
			c := w.otherCluster(ctx, "dead")
			return condition(c.Status.Conditions, v1alpha1.ConditionDatabaseReady) + " " +
				condition(c.Status.Conditions, v1alpha1.ConditionMessagingReady)
		}
		Eventually(unreachable).Should(Equal("False/Unreachable False/Unreachable"))

		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		Eventually(w.clusterCondition(ctx, v1alpha1.ConditionReady)).Should(Equal("True/AllReady"))
		p := makePromotion(w.namespace).Obj()
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		Eventually(w.promotionCondition(ctx, v1alpha1.ConditionPartitionsOpen)).WithTimeout(10 * time.Second).
			Should(HavePrefix("True/"))
		for _, paused := range []bool{true, false, true} {
			w.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.Paused = &paused })
			Eventually(func() bool { return w.published(ctx, string(p.UID)).GetPaused() }).
				WithTimeout(3 * time.Second).Should(Equal(paused))
		}
	}, NodeTimeout(3*time.Minute))
})
