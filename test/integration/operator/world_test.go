package operator_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/run"
	"github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/materializer"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// world is one shop's surroundings: a namespace, a database and a NATS server.
type world struct {
	namespace   string
	databaseURL string
	nats        *testnats.Server
	js          jetstream.JetStream
	log         *slog.Logger
	now         func() time.Time
}

func newWorld(ctx context.Context, databaseURL string, now func() time.Time) *world {
	GinkgoHelper()
	w := plainWorld(ctx, databaseURL, now)
	w.nats = testnats.Run(GinkgoTB())
	w.js = w.nats.JetStream(GinkgoTB())
	return w
}

// plainWorld has no NATS server yet.
func plainWorld(ctx context.Context, databaseURL string, now func() time.Time) *world {
	GinkgoHelper()
	return &world{
		namespace: newNamespace(ctx), databaseURL: databaseURL, now: now,
		log: slog.New(slog.NewTextHandler(GinkgoWriter, nil)),
	}
}

// migratedWorld has all tables and a pool of connections to them.
func migratedWorld(ctx context.Context, now func() time.Time) (*world, *pgxpool.Pool) {
	GinkgoHelper()
	w := newWorld(ctx, testdb.NewMigrated(GinkgoTB()), now)
	w.secret(ctx, "database", "url", w.databaseURL)
	w.secret(ctx, "sandbox", "key", "not a secret")
	return w, w.pool(ctx)
}

func (w *world) pool(ctx context.Context) *pgxpool.Pool {
	GinkgoHelper()
	pool, err := database.Open(context.WithoutCancel(ctx), w.databaseURL, 8)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(pool.Close)
	return pool
}

// secret creates or replaces a Secret.
func (w *world) secret(ctx context.Context, name, key, value string) {
	GinkgoHelper()
	w.secretOf(ctx, name, map[string][]byte{key: []byte(value)})
}

// secretOf creates or replaces a Secret of several keys.
func (w *world) secretOf(ctx context.Context, name string, data map[string][]byte) {
	GinkgoHelper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Data: data}
	found := &corev1.Secret{}
	if err := kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, found); err == nil {
		found.Data = s.Data
		Expect(kube.Client.Update(ctx, found)).To(Succeed())
		return
	}
	Expect(kube.Client.Create(ctx, s)).To(Succeed())
}

// operate runs an operator for this namespace until the spec ends.
func (w *world) operate() { w.operateAs("test") }

// operateAs runs an operator of a version until it is stopped, or the spec ends.
func (w *world) operateAs(version string) (stop func()) {
	return background(func(ctx context.Context) error {
		return run.Run(ctx, run.Options{
			Config: operatorConfig, MetricsAddress: "0", HealthAddress: "0", Watched: []string{w.namespace}, Clock: w.now,
			Log: w.log, Version: version,
		})
	})
}

// materialize runs a worker's materializer until the spec ends.
func (w *world) materialize(pool *pgxpool.Pool) {
	GinkgoHelper()
	store, err := order.NewStore(
		order.Options{Pool: pool, Clock: w.now, Logger: w.log, Registerer: prometheus.NewRegistry()},
	)
	Expect(err).NotTo(HaveOccurred())
	m, err := materializer.New(materializer.Options{
		// Its clock is what its rate goes by: one that stands lets nothing through.
		JetStream: w.js, Writer: store, RatePerSecond: 10_000, Clock: time.Now,
		Random: mathrand.New(mathrand.NewPCG(1, 1)), Logger: w.log, Registerer: prometheus.NewRegistry(),
	})
	Expect(err).NotTo(HaveOccurred())
	background(m.Run)
}

// sell runs a flash pod's engine until the spec ends.
func (w *world) sell() *pod.Pod { return w.sellAs(0) }

// sellAs runs the i-th flash pod's engine until the spec ends. The pods do not reach each other.
func (w *world) sellAs(i int) *pod.Pod {
	GinkgoHelper()
	ids, err := orderid.NewGenerator([]byte("0123456789abcdef"), w.now, rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	p, err := pod.New(pod.Options{
		JetStream:    w.js,
		Replicas:     1,
		Name:         fmt.Sprintf("flash-%d", i),
		Advertise:    fmt.Sprintf("127.0.0.1:%d", i+1),
		Clock:        time.Now,
		ClusterClock: w.now,
		Random:       mathrand.New(mathrand.NewPCG(2, 2)),
		OrderIDs:     ids,
		Logger:       w.log,
		Registerer:   prometheus.NewRegistry(),
	})
	Expect(err).NotTo(HaveOccurred())
	background(p.Run)
	return p
}

// background runs a loop until it is stopped, or the spec ends.
func background(loop func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- loop(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		Eventually(done).Should(Receive(BeNil()))
	})
	DeferCleanup(stop)
	return stop
}

// buy places one order of one unit and returns its refusal's reason, or "" if it was accepted.
func buy(ctx context.Context, p *pod.Pod, buyer, sku string) string {
	_, err := p.FlashService().PlaceFlashOrder(ctx, &flashv1.PlaceFlashOrderRequest{
		Promotion: "singles-day", BuyerId: buyer, RequestId: "1", Items: []*flashv1.FlashOrderItem{{Sku: sku, Quantity: 1}},
	})
	if err == nil {
		return ""
	}
	return rpcerr.Reason(err)
}

// buyMany has n buyers buy one unit each; every one of them has to be accepted sooner or later.
func buyMany(ctx context.Context, p *pod.Pod, sku string, n int) {
	GinkgoHelper()
	for i := range n {
		Eventually(func() string { return buy(ctx, p, fmt.Sprintf("%s-buyer-%d", sku, i), sku) }).Should(BeEmpty())
	}
}

// addSKU puts a SKU into the catalog with this much stock.
func addSKU(ctx context.Context, pool *pgxpool.Pool, sku string, units int64) {
	GinkgoHelper()
	c := catalog.NewService(catalog.Options{Pool: pool, Clock: time.Now})
	_, err := c.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
		Sku: sku, Title: sku, OnSale: true, Price: &moneyv1.Money{Amount: 100, Currency: "CNY"},
	}})
	Expect(err).NotTo(HaveOccurred())
	if units > 0 {
		_, err = c.AdjustStock(ctx,
			&catalogv1.AdjustStockRequest{RequestId: fmt.Sprintf("%s-%d", sku, units), Sku: sku, Delta: units})
		Expect(err).NotTo(HaveOccurred())
	}
}

func levels(ctx context.Context, pool *pgxpool.Pool, sku string) stock.Levels {
	GinkgoHelper()
	l, err := stock.Get(ctx, pool, sku)
	Expect(err).NotTo(HaveOccurred())
	return l
}

// condition returns "Status/Reason" of a condition, or "" if there is none.
func condition(conditions []metav1.Condition, kind string) string {
	for _, c := range conditions {
		if c.Type == kind {
			return string(c.Status) + "/" + c.Reason
		}
	}
	return ""
}

func message(conditions []metav1.Condition, kind string) string {
	for _, c := range conditions {
		if c.Type == kind {
			return c.Message
		}
	}
	return ""
}

// getCluster and getPromotion read the objects as they are now.
func (w *world) getCluster(ctx context.Context) *v1alpha1.OrderCluster {
	GinkgoHelper()
	c := &v1alpha1.OrderCluster{}
	Expect(kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: "shop"}, c)).To(Succeed())
	return c
}

func (w *world) getPromotion(ctx context.Context) *v1alpha1.PromotionEvent {
	GinkgoHelper()
	p := &v1alpha1.PromotionEvent{}
	Expect(kube.Client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: "singles-day"}, p)).To(Succeed())
	return p
}

// clusterCondition and promotionCondition are for Eventually.
func (w *world) clusterCondition(ctx context.Context, kind string) func() string {
	return func() string { return condition(w.getCluster(ctx).Status.Conditions, kind) }
}

func (w *world) promotionCondition(ctx context.Context, kind string) func() string {
	return func() string { return condition(w.getPromotion(ctx).Status.Conditions, kind) }
}

// itemStatus builds the status of an item for comparisons.
func itemStatus(sku string, allocated, sold, left int64, returned *int64) v1alpha1.PromotionItemStatus {
	return v1alpha1.PromotionItemStatus{
		SKU:       sku,
		Stream:    ptr.To[int32](0),
		Allocated: ptr.To(allocated),
		Sold:      ptr.To(sold),
		Left:      ptr.To(left),
		Returned:  returned,
	}
}

// changePromotion changes the spec, again if the operator wrote the object at the same moment.
func (w *world) changePromotion(ctx context.Context, change func(*v1alpha1.PromotionEventSpec)) {
	GinkgoHelper()
	Eventually(func() error {
		p := w.getPromotion(ctx)
		change(&p.Spec)
		return kube.Client.Update(ctx, p)
	}).Should(Succeed())
}
