package operator_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
	"github.com/orderd-dev/orderd/operator/promotionevent"
)

// hands is a clock that the test sets.
type hands struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hands) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hands) Set(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = t
}

// stage is a promotion whose reconciler is called by the test, at the time that the test sets.
type stage struct {
	*world
	clock      *hands
	pool       *pgxpool.Pool
	reconciler *promotionevent.Reconciler
	recorder   *events.FakeRecorder
	start, end time.Time
}

// newStage has an OrderCluster that is migrated and has one flash pod; the hands stand two
// hours before the start.
func newStage(ctx context.Context) *stage {
	GinkgoHelper()
	start := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	clock := &hands{now: start.Add(-2 * time.Hour)}
	w, pool := migratedWorld(ctx, clock.Now)
	s := &stage{
		world:    w,
		clock:    clock,
		pool:     pool,
		recorder: events.NewFakeRecorder(10_000),
		start:    start,
		end:      start.Add(time.Hour),
	}
	registry := backends.NewRegistry(kube.Client, w.log)
	DeferCleanup(registry.Close)
	s.reconciler = &promotionevent.Reconciler{
		Client: kube.Client, Reader: kube.Client, Recorder: s.recorder, Backends: registry, Clock: clock.Now, Log: w.log,
		ServerTime: func(context.Context) (time.Time, error) { return clock.Now(), nil },
	}
	return s
}

// cluster makes the OrderCluster, as its own controller would leave it.
func (s *stage) cluster(ctx context.Context) {
	GinkgoHelper()
	c := makeCluster(s.namespace, s.nats.URL()).Obj()
	Expect(kube.Client.Create(ctx, c)).To(Succeed())
	c.Status.UID, c.Status.Migration.Revision = string(c.UID), "test"
	Expect(kube.Client.Status().Update(ctx, c)).To(Succeed())
	s.flashPods(ctx, 1)
}

func (s *stage) flashPods(ctx context.Context, available int32) {
	GinkgoHelper()
	c := s.getCluster(ctx)
	c.Status.Pools = []v1alpha1.PoolStatus{{Name: v1alpha1.PoolFlash, Available: ptr.To(available)}}
	Expect(kube.Client.Status().Update(ctx, c)).To(Succeed())
}

// reconcile calls the reconciler until it no longer asks to be called at once, and returns when it
// wants to be called next.
func (s *stage) reconcile(ctx context.Context) time.Duration {
	GinkgoHelper()
	var result ctrl.Result
	Eventually(func(g Gomega) {
		var err error
		result, err = s.reconciler.Reconcile(ctx,
			ctrl.Request{NamespacedName: types.NamespacedName{Namespace: s.namespace, Name: "singles-day"}})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(
			result.RequeueAfter == 0 || result.RequeueAfter > time.Second,
		).To(BeTrue(), "still wants to be called in %s", result.RequeueAfter)
	}).Should(Succeed())
	return result.RequeueAfter
}

// reconcileOnce calls the reconciler once.
func (s *stage) reconcileOnce(ctx context.Context) {
	GinkgoHelper()
	_, err := s.reconciler.Reconcile(ctx,
		ctrl.Request{NamespacedName: types.NamespacedName{Namespace: s.namespace, Name: "singles-day"}})
	Expect(err).NotTo(HaveOccurred())
}

func (s *stage) events() string {
	var all []string
	for {
		select {
		case e := <-s.recorder.Events:
			all = append(all, e)
		default:
			return strings.Join(all, "\n")
		}
	}
}

// metrics are the promotion's, as lines of a metric's name, labels and value.
func (s *stage) metrics() []string {
	GinkgoHelper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(promotionevent.NewCollector(kube.Client, s.clock.Now, s.log))
	families, err := registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	var lines []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["namespace"] != s.namespace {
				continue
			}
			var shown []string
			for _, name := range slices.Sorted(maps.Keys(labels)) {
				if name != "namespace" && name != "promotion" {
					shown = append(shown, fmt.Sprintf("%s=%q", name, labels[name]))
				}
			}
			lines = append(lines, fmt.Sprintf("%s{%s} %g", family.GetName(), strings.Join(shown, ","), m.GetGauge().GetValue()))
		}
	}
	return lines
}

func (s *stage) conditions(ctx context.Context) []metav1.Condition {
	return s.getPromotion(ctx).Status.Conditions
}

// live brings a promotion with enough stock to its start.
func (s *stage) live(ctx context.Context, p *v1alpha1.PromotionEvent) {
	GinkgoHelper()
	s.cluster(ctx)
	addSKU(ctx, s.pool, "phone", 1000)
	addSKU(ctx, s.pool, "case", 1000)
	Expect(kube.Client.Create(ctx, p)).To(Succeed())
	s.flashPods(ctx, 3)
	s.clock.Set(s.start)
	s.reconcile(ctx)
	Expect(s.getPromotion(ctx).Status.Phase).To(Equal(v1alpha1.PhaseLive))
}

func (s *stage) promotion() *promotionWrapper {
	return makePromotion(s.namespace).Window(s.start, s.end)
}

func gone(ctx context.Context, namespace string) bool {
	return apierrors.IsNotFound(
		kube.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "singles-day"}, &v1alpha1.PromotionEvent{}),
	)
}
