package flash_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

var _ = Describe("The owner of a partition", func() {
	var js jetstream.JetStream
	var p *flashv1.Promotion
	items := []prepare.Item{{SKU: "a", Quantity: 100}}

	BeforeEach(func(ctx SpecContext) {
		js = newJetStream()
		p = newPromotion(1, 3, items...)
		open(ctx, js, p, items...)
	})

	It("answers a repeated request with the same order, and keeps the limit over retries", func(ctx SpecContext) {
		o := run(newOwner(js, p, "pod-a", nil))
		first, err := o.Reserve(ctx, request(p, "ann", "r1", "a", 2))
		Expect(err).NotTo(HaveOccurred())
		for range 3 {
			again, err := o.Reserve(ctx, request(p, "ann", "r1", "a", 2))
			Expect(err).NotTo(HaveOccurred())
			Expect(again.OrderId).To(Equal(first.OrderId))
			Expect(again.AcceptedAt.AsTime()).To(Equal(first.AcceptedAt.AsTime()))
		}
		_, err = o.Reserve(ctx, request(p, "ann", "r1", "a", 1))
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonRequestIDReused))
		_, err = o.Reserve(ctx, request(p, "ann", "r2", "a", 2))
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonLimitPerBuyer))
		_, err = o.Reserve(ctx, request(p, "ann", "r3", "a", 1))
		Expect(err).NotTo(HaveOccurred())
		Expect(sales(ctx, js, p)["a"].Sold).To(BeEquivalentTo(3))

		By("being taken over by another pod")
		o.Stop()
		Eventually(o.Done()).Should(BeClosed())
		o = run(newOwner(js, p, "pod-b", nil))
		again, err := o.Reserve(ctx, request(p, "ann", "r1", "a", 2))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.OrderId).To(Equal(first.OrderId))
		_, err = o.Reserve(ctx, request(p, "ann", "r4", "a", 1))
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonLimitPerBuyer))
	})

	It("never oversells when two pods believe that they are it", func(ctx SpecContext) {
		owners := []*owner.Owner{run(newOwner(js, p, "pod-a", nil)), run(newOwner(js, p, "pod-b", nil))}
		var mu sync.Mutex
		answers := map[string]map[string]struct{}{}
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				defer GinkgoRecover()
				for i := range 30 {
					// Two workers make each request, so that both owners get it at
					// about the same time.
					r := request(p, fmt.Sprintf("buyer-%d-%d", worker/2, i), "r", "a", 1)
					got := insistOn(ctx, owners, worker, r)
					mu.Lock()
					if answers[r.BuyerId] == nil {
						answers[r.BuyerId] = map[string]struct{}{}
					}
					answers[r.BuyerId][got.order+got.reason] = struct{}{}
					mu.Unlock()
				}
			})
		}
		group.Wait()

		sold := 0
		for buyer, different := range answers {
			Expect(different).To(HaveLen(1), "answers to %s", buyer)
			if _, refused := different[rpcerr.ReasonSoldOut]; !refused {
				sold++
			}
		}
		Expect(sold).To(Equal(100))
		Expect(orders(ctx, js, p)).To(HaveLen(100))
		Expect(sales(ctx, js, p)["a"]).To(Equal(prepare.Total{SKU: "a", Allocated: 100, Sold: 100}))
	})

	It("answers success when an append that timed out landed before the fence", func(ctx SpecContext) {
		lost := atomic.Int64{}
		o := run(newOwner(js, p, "pod-a", func(log plog.Log) plog.Log {
			return &wrappedLog{log, func(ctx context.Context, log plog.Log, entry plog.Entry) (uint64, error) {
				sequence, err := log.Append(ctx, entry)
				if reserves(entry) && lost.Add(1) == 1 {
					return 0, errLostAck
				}
				return sequence, err
			}}
		}))
		response, err := o.Reserve(ctx, request(p, "ann", "r1", "a", 1))
		Expect(err).NotTo(HaveOccurred())
		inLog := orders(ctx, js, p)
		Expect(inLog).To(HaveLen(1))
		Expect(uuid.UUID(inLog["ann/r1"].OrderId).String()).To(Equal(response.OrderId))
	})

	It("makes sure that an append that timed out cannot land after the fence", func(ctx SpecContext) {
		late := make(chan plog.Entry, 1)
		o := run(newOwner(js, p, "pod-a", func(log plog.Log) plog.Log {
			return &wrappedLog{log, func(ctx context.Context, log plog.Log, entry plog.Entry) (uint64, error) {
				if reserves(entry) && len(late) == 0 {
					late <- entry
					return 0, errLostAck
				}
				return log.Append(ctx, entry)
			}}
		}))
		response, err := o.Reserve(ctx, request(p, "ann", "r1", "a", 1))
		Expect(err).NotTo(HaveOccurred())
		_, err = plog.New(js, p).Append(ctx, <-late)
		Expect(err).To(MatchError(plog.ErrRefused))
		inLog := orders(ctx, js, p)
		Expect(inLog).To(HaveLen(1))
		Expect(uuid.UUID(inLog["ann/r1"].OrderId).String()).To(Equal(response.OrderId))
	})

	It("makes a no final: what timed out cannot land once a question was answered", func(ctx SpecContext) {
		late := make(chan plog.Entry, 1)
		leaving, leave := context.WithCancel(ctx)
		o := run(newOwner(js, p, "pod-a", func(log plog.Log) plog.Log {
			return &wrappedLog{log, func(ctx context.Context, log plog.Log, entry plog.Entry) (uint64, error) {
				if reserves(entry) {
					late <- entry
					// Nobody waits for it any more, so that no second append takes
					// its place in the log.
					leave()
					return 0, errLostAck
				}
				return log.Append(ctx, entry)
			}}
		}))
		_, err := o.Reserve(leaving, request(p, "ann", "r1", "a", 1))
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonPartitionMoving))
		_, err = o.Lookup(ctx, &flashv1.GetFlashOrderRequest{BuyerId: "ann", RequestId: "r1"})
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonOrderNotFound))
		_, err = plog.New(js, p).Append(ctx, <-late)
		Expect(err).To(MatchError(plog.ErrRefused))
		Expect(orders(ctx, js, p)).To(BeEmpty())
	})

	It("settles an append that lands between the time-out and the fence", func(ctx SpecContext) {
		var once atomic.Bool
		var late plog.Entry
		var landed atomic.Bool
		o := run(newOwner(js, p, "pod-a", func(log plog.Log) plog.Log {
			return &wrappedLog{log, func(ctx context.Context, log plog.Log, entry plog.Entry) (uint64, error) {
				switch {
				case reserves(entry) && once.CompareAndSwap(false, true):
					late = entry
					return 0, errLostAck
				case entry.Record.GetFenced() != nil && late.Data != nil:
					// The fence was decided on without the late append, which now comes first.
					_, err := log.Append(ctx, late)
					late.Data = nil
					if err != nil {
						return 0, err
					}
					landed.Store(true)
				}
				return log.Append(ctx, entry)
			}}
		}))
		response, err := o.Reserve(ctx, request(p, "ann", "r1", "a", 1))
		Expect(err).NotTo(HaveOccurred())
		Expect(landed.Load()).To(BeTrue())
		inLog := orders(ctx, js, p)
		Expect(inLog).To(HaveLen(1))
		Expect(uuid.UUID(inLog["ann/r1"].OrderId).String()).To(Equal(response.OrderId))
		Expect(sales(ctx, js, p)["a"].Sold).To(BeEquivalentTo(1))
	})

	It("gives released stock and limits back, once, and says so when the sale was closed before", func(ctx SpecContext) {
		o := run(newOwner(js, p, "pod-a", nil))
		placed := map[string]uuid.UUID{}
		for _, id := range []string{"r1", "r2", "r3"} {
			response, err := o.Reserve(ctx, request(p, "ann", id, "a", 1))
			Expect(err).NotTo(HaveOccurred())
			placed[id] = uuid.MustParse(response.OrderId)
		}
		for range 2 {
			Expect(
				o.Release(ctx, placed["r1"], flashv1.ReleaseReason_RELEASE_REASON_CANCELLED),
			).To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED))
		}
		Expect(sales(ctx, js, p)["a"]).To(Equal(prepare.Total{SKU: "a", Allocated: 100, Sold: 2, Unsold: 98}))
		got, err := o.Lookup(ctx, &flashv1.GetFlashOrderRequest{BuyerId: "ann", RequestId: "r1"})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.State).To(Equal(flashv1.FlashOrderState_FLASH_ORDER_STATE_RELEASED))
		_, err = o.Reserve(ctx, request(p, "ann", "r4", "a", 1))
		Expect(err).NotTo(HaveOccurred())
		_, err = o.Release(ctx, uuid.New(), flashv1.ReleaseReason_RELEASE_REASON_EXPIRED)
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonOrderNotFound))

		By("closing the partition from outside")
		Expect(
			prepare.ClosePartitions(ctx, js, p, "operator"),
		).To(Equal([]prepare.Total{{SKU: "a", Allocated: 100, Sold: 3, Unsold: 97}}))
		_, err = o.Reserve(ctx, request(p, "bob", "r1", "a", 1))
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonEnded))
		Expect(
			o.Release(ctx, placed["r1"], flashv1.ReleaseReason_RELEASE_REASON_EXPIRED),
		).To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED))
		Expect(
			o.Release(ctx, placed["r2"], flashv1.ReleaseReason_RELEASE_REASON_EXPIRED),
		).To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED))
		again, err := o.Reserve(ctx, request(p, "ann", "r2", "a", 1))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.OrderId).To(Equal(placed["r2"].String()))

		By("starting an owner of the closed partition")
		closed := run(newOwner(js, p, "pod-b", nil))
		Expect(
			closed.Release(ctx, placed["r3"], flashv1.ReleaseReason_RELEASE_REASON_EXPIRED),
		).To(Equal(flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED))
		Expect(countRecords(ctx, js, p, func(r *flashv1.Record) bool { return r.GetClosed() != nil })).To(Equal(1))
	})

	It("says nothing from memory while it may have been replaced, and sells nothing once it was", func(ctx SpecContext) {
		var lease, mine atomic.Bool
		lease.Store(true)
		mine.Store(true)
		options := ownerOptions(js, p, "pod-paused")
		options.Lease, options.Owned = lease.Load, mine.Load
		paused := run(owner.New(options))
		first, err := paused.Reserve(ctx, request(p, "ann", "r1", "a", 1))
		Expect(err).NotTo(HaveOccurred())

		By("another pod taking over while this one is paused")
		successor := run(newOwner(js, p, "successor", nil))
		for i := range 33 {
			Expect(
				insistOn(ctx, []*owner.Owner{successor}, 0, request(p, fmt.Sprint("buyer-", i), "r", "a", 3)).order,
			).NotTo(BeEmpty())
		}
		lease.Store(false)
		_, err = paused.Lookup(ctx, &flashv1.GetFlashOrderRequest{BuyerId: "buyer-1", RequestId: "r"})
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonPartitionMoving))
		_, err = paused.Release(ctx, uuid.New(), flashv1.ReleaseReason_RELEASE_REASON_EXPIRED)
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonPartitionMoving))
		_, err = paused.Reserve(ctx, request(p, "ann", "r2", "a", 3))
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonPartitionMoving), "over the limit as far as it knows")
		again, err := paused.Reserve(ctx, request(p, "ann", "r1", "a", 1))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.OrderId).To(Equal(first.OrderId))

		mine.Store(false)
		_, err = paused.Reserve(ctx, request(p, "bob", "r1", "a", 3))
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonPartitionMoving))
		Eventually(paused.Done()).Should(BeClosed())
		_, err = paused.Reserve(ctx, request(p, "bob", "r1", "a", 3))
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonNotOwner))
		Expect(sales(ctx, js, p)["a"]).To(Equal(prepare.Total{SKU: "a", Allocated: 100, Sold: 100}))
	})

	It("refuses what the sale says once its window is over, except retries", func(ctx SpecContext) {
		var now atomic.Int64
		now.Store(p.EndUnixMs - 1)
		options := ownerOptions(js, p, "pod-a")
		options.Clock = func() time.Time { return time.UnixMilli(now.Load()) }
		o := run(owner.New(options))
		first, err := o.Reserve(ctx, request(p, "ann", "r1", "a", 1))
		Expect(err).NotTo(HaveOccurred())
		Expect(first.AcceptedAt.AsTime().UnixMilli()).To(Equal(p.EndUnixMs - 1))
		inLog := orders(ctx, js, p)["ann/r1"]
		Expect(inLog.ExpiresAtUnixMs).To(Equal(p.EndUnixMs - 1 + p.PaymentTimeoutMs))
		Expect(inLog.Items[0].UnitPrice).To(BeEquivalentTo(100))

		now.Store(p.EndUnixMs)
		_, err = o.Reserve(ctx, request(p, "bob", "r1", "a", 1))
		Expect(rpcerr.Reason(err)).To(Equal(rpcerr.ReasonEnded))
		again, err := o.Reserve(ctx, request(p, "ann", "r1", "a", 1))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.OrderId).To(Equal(first.OrderId))
	})

	It("is closed while it sells, and the totals are what was sold", func(ctx SpecContext) {
		o := run(newOwner(js, p, "pod-a", nil))
		var group sync.WaitGroup
		var sold atomic.Int64
		for worker := range 4 {
			group.Go(func() {
				defer GinkgoRecover()
				for i := range 20 {
					got := insistOn(ctx, []*owner.Owner{o}, 0, request(p, fmt.Sprintf("buyer-%d-%d", worker, i), "r", "a", 1))
					if got.order != "" {
						sold.Add(1)
						continue
					}
					Expect(got.reason).To(Equal(rpcerr.ReasonEnded))
				}
			})
		}
		Eventually(sold.Load).Should(BeNumerically(">", 0))
		totals, err := prepare.ClosePartitions(ctx, js, p, "operator")
		Expect(err).NotTo(HaveOccurred())
		group.Wait()
		Expect(totals).To(Equal([]prepare.Total{{SKU: "a", Allocated: 100, Sold: sold.Load(), Unsold: 100 - sold.Load()}}))
	})
})
