package operator_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
	"github.com/orderd-dev/orderd/operator/listing"
	"github.com/orderd-dev/orderd/operator/promotionevent"
	"github.com/orderd-dev/orderd/operator/run"
)

func (w *world) clusterGone(ctx context.Context) bool {
	key := types.NamespacedName{Namespace: w.namespace, Name: "shop"}
	return apierrors.IsNotFound(kube.Client.Get(ctx, key, &v1alpha1.OrderCluster{}))
}

// hung are backends of which those of one OrderCluster never answer.
type hung struct {
	promotionevent.Backends
	cluster string
	// asked has a token for each that waits.
	asked chan struct{}
}

var errHung = errors.New("it does not answer")

func (h *hung) wait(ctx context.Context, c *v1alpha1.OrderCluster) error {
	if c.Name != h.cluster {
		return nil
	}
	h.asked <- struct{}{}
	<-ctx.Done()
	return errHung
}

func (h *hung) ServerTime(ctx context.Context, c *v1alpha1.OrderCluster) (time.Time, error) {
	if err := h.wait(ctx, c); err != nil {
		return time.Time{}, err
	}
	return h.Backends.ServerTime(ctx, c)
}

func (h *hung) JetStream(ctx context.Context, c *v1alpha1.OrderCluster) (jetstream.JetStream, error) {
	if err := h.wait(ctx, c); err != nil {
		return nil, err
	}
	return h.Backends.JetStream(ctx, c)
}

func (h *hung) Database(ctx context.Context, c *v1alpha1.OrderCluster) (*pgxpool.Pool, error) {
	if err := h.wait(ctx, c); err != nil {
		return nil, err
	}
	return h.Backends.Database(ctx, c)
}

// migratedCluster makes an OrderCluster of a name as its own controller would leave it.
func (w *world) migratedCluster(ctx context.Context, name string) {
	GinkgoHelper()
	c := makeCluster(w.namespace, w.nats.URL()).Named(name).Obj()
	Expect(kube.Client.Create(ctx, c)).To(Succeed())
	c.Status.UID, c.Status.Migration.Revision = string(c.UID), "test"
	Expect(kube.Client.Status().Update(ctx, c)).To(Succeed())
}

var _ = Describe("An OrderCluster whose promotions hang", func() {
	It("has its share of the workers, and the levers of others are heard", func(ctx SpecContext) {
		w, pool := migratedWorld(ctx, time.Now)
		addSKU(ctx, pool, "phone", 1000)
		addSKU(ctx, pool, "case", 1000)
		w.migratedCluster(ctx, "hung")
		w.migratedCluster(ctx, "shop")
		for i := range 24 {
			p := makePromotion(w.namespace).Named(fmt.Sprintf("hung-%d", i)).Obj()
			p.Spec.OrderClusterRef.Name = "hung"
			Expect(kube.Client.Create(ctx, p)).To(Succeed())
		}
		mgr, err := ctrl.NewManager(kube.Config, ctrl.Options{
			Scheme: kube.Scheme, Cache: run.CacheOptions([]string{w.namespace}),
			Controller: config.Controller{SkipNameValidation: ptr.To(true)},
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(listing.Index(ctx, mgr.GetFieldIndexer())).To(Succeed())
		registry := backends.NewRegistry(mgr.GetAPIReader(), w.log)
		DeferCleanup(registry.Close)
		h := &hung{Backends: registry, cluster: "hung", asked: make(chan struct{}, 1000)}
		r := &promotionevent.Reconciler{
			Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("test"), Backends: h,
			Clock: time.Now, Log: w.log, Indexed: true,
		}
		Expect(r.SetupWithManager(mgr)).To(Succeed())
		background(mgr.Start)
		// All that it may have are taken, for as long as a reconcile lasts.
		for range 4 {
			Eventually(h.asked).Should(Receive())
		}
		p := makePromotion(w.namespace).Obj()
		Expect(kube.Client.Create(ctx, p)).To(Succeed())
		Eventually(w.promotionCondition(ctx, v1alpha1.ConditionPartitionsOpen)).Should(Equal("True/Opened"))
		for _, paused := range []bool{true, false} {
			w.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) { spec.Paused = &paused })
			Eventually(func() bool { return w.published(ctx, string(p.UID)).GetPaused() }).Should(Equal(paused))
		}
		Expect(h.asked).NotTo(Receive(), "no other promotion of it has begun")
	}, NodeTimeout(3*time.Minute))
})
