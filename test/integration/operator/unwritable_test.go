package operator_test

import (
	"context"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// direct releases by a pod of this process.
type direct struct{ pool *pod.Pod }

func (d direct) Release(
	ctx context.Context, promotionUID, buyerID string, orderID uuid.UUID, reason flashv1.ReleaseReason,
) (flashv1.ReleaseOutcome, error) {
	answer, err := d.pool.PeerService().Release(ctx,
		&flashv1.ReleaseRequest{PromotionUid: promotionUID, BuyerId: buyerID, OrderId: orderID[:], Reason: reason})
	return answer.GetOutcome(), err
}

// release runs a worker's releaser until the spec ends.
func (s *stage) release(p *pod.Pod) {
	GinkgoHelper()
	store, err := order.NewStore(
		order.Options{Pool: s.pool, Clock: s.clock.Now, Logger: s.log, Registerer: prometheus.NewRegistry()},
	)
	Expect(err).NotTo(HaveOccurred())
	r, err := order.NewReleaser(order.ReleaserOptions{
		Worker: order.WorkerOptions{
			Store:         store,
			WorkerOptions: lease.WorkerOptions{Worker: "releaser", Interval: 20 * time.Millisecond, Logger: s.log},
		},
		Flash: direct{p},
	})
	Expect(err).NotTo(HaveOccurred())
	background(r.Run)
}

var _ = DescribeTable("A PromotionEvent with orders that the database refuses is settled, and nobody misses a unit",
	func(ctx SpecContext, writtenAfterTheEnd, releasedAfterTheEnd bool) {
		s := newStage(ctx)
		s.live(ctx, s.promotion().Obj())
		pool := s.sell()
		buyMany(ctx, pool, "phone", 10)
		buyMany(ctx, pool, "case", 7)
		_, err := s.pool.Exec(ctx, "DELETE FROM skus WHERE sku = 'case'")
		Expect(err).NotTo(HaveOccurred())
		end := func() {
			s.clock.Set(s.end.Add(time.Minute))
			// Without a worker it cannot come further than to the closed partitions.
			Eventually(func() bool {
				_, err := s.reconciler.Reconcile(ctx,
					ctrl.Request{NamespacedName: types.NamespacedName{Namespace: s.namespace, Name: "singles-day"}})
				return err == nil && !s.getPromotion(ctx).Status.ClosedTime.IsZero()
			}).Should(BeTrue())
		}
		if writtenAfterTheEnd {
			end()
		}
		s.materialize(s.pool)
		// Every refused order is decided on before its record is acknowledged.
		Eventually(func() int64 { return s.count(ctx, "flash_releases", "reason = 'UNWRITABLE'") }).Should(Equal(int64(7)))
		if !writtenAfterTheEnd && releasedAfterTheEnd {
			end()
		}
		s.release(pool)
		Eventually(func() int64 { return s.count(ctx, "flash_releases", "outcome = 'PENDING'") }).Should(BeZero())
		s.clock.Set(s.end.Add(2 * time.Minute))
		s.reconcile(ctx)

		p := s.getPromotion(ctx)
		Expect(condition(p.Status.Conditions, "Settled")).To(Equal("True/Settled"))
		Expect(condition(p.Status.Conditions, "InvariantViolated")).To(Equal("False/Proved"))
		Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseSettled))
		sold := int64(10)
		if s.count(ctx, "flash_releases", "outcome = 'CREDITED'") == 7 {
			sold = 17
		}
		Expect(p.Status.Sold).To(Equal(ptr.To(sold)), "what was sold when the sale closed stays so in its log")
		Expect(levels(ctx, s.pool, "phone")).To(Equal(stock.Levels{Available: 990, Reserved: 10}))
		Expect(levels(ctx, s.pool, "case")).To(Equal(stock.Levels{Available: 1000}))
		stream, err := s.js.Stream(ctx, consume.DeadLetters)
		Expect(err).NotTo(HaveOccurred())
		Expect(stream.CachedInfo().State.Msgs).To(BeEquivalentTo(7))
	},
	Entry("all while it is live", false, false),
	Entry("released after the end", false, true),
	Entry("found after the end", true, true),
)

func (s *stage) count(ctx context.Context, table, where string) int64 {
	GinkgoHelper()
	var n int64
	Expect(s.pool.QueryRow(ctx, "SELECT count(*) FROM "+table+" WHERE "+where).Scan(&n)).To(Succeed())
	return n
}
