package flash_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

var _ = Describe("Provisioning", func() {
	var js jetstream.JetStream
	items := []prepare.Item{{SKU: "a", Quantity: 1000}, {SKU: "b", Quantity: 7}}

	BeforeEach(func() { js = testnats.Run(GinkgoTB()).JetStream(GinkgoTB()) })

	It("opens every partition once, however often and wherever it runs", func(ctx SpecContext) {
		p := newPromotion(2500, 0, items...)
		Expect(prepare.EnsureStreams(ctx, js, p, 1)).To(Succeed())
		By("leaving some partitions opened, as a run that died would")
		log := plog.New(js, p)
		shards := prepare.Split(items, p.Partitions)
		for _, n := range []int32{0, 17, 2000} {
			opened := &flashv1.Opened{Allocation: "allocation"}
			for _, item := range shards[n] {
				opened.Items = append(opened.Items, &flashv1.ItemQuantity{Sku: item.SKU, Quantity: item.Quantity})
			}
			_, err := log.Append(ctx,
				plog.Entry{Partition: n, Record: &flashv1.Record{Kind: &flashv1.Record_Opened{Opened: opened}}})
			Expect(err).NotTo(HaveOccurred())
		}

		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				defer GinkgoRecover()
				Expect(prepare.OpenPartitions(ctx, js, p, "allocation", items)).To(Succeed())
			})
		}
		group.Wait()
		Expect(prepare.OpenPartitions(ctx, js, p, "allocation", items)).To(Succeed())

		stream, err := js.Stream(ctx, p.Streams[0])
		Expect(err).NotTo(HaveOccurred())
		Expect(stream.CachedInfo().State.Msgs).To(BeEquivalentTo(p.Partitions))
	})

	It("closes every partition once, also at the same time as another", func(ctx SpecContext) {
		p := newPromotion(20, 0, items...)
		open(ctx, js, p, items...)
		want := []prepare.Total{{SKU: "a", Allocated: 1000, Unsold: 1000}, {SKU: "b", Allocated: 7, Unsold: 7}}
		Expect(prepare.Totals(ctx, js, p)).To(Equal(want))

		var group sync.WaitGroup
		for i := range 3 {
			group.Go(func() {
				defer GinkgoRecover()
				Expect(prepare.ClosePartitions(ctx, js, p, fmt.Sprintf("operator-%d", i))).To(Equal(want))
			})
		}
		group.Wait()
		Expect(prepare.ClosePartitions(ctx, js, p, "operator")).To(Equal(want))
		Expect(
			countRecords(ctx, js, p, func(r *flashv1.Record) bool { return r.GetClosed() != nil }),
		).To(BeEquivalentTo(p.Partitions))
		Expect(prepare.Totals(ctx, js, p)).To(Equal(want))
	})

	It("refuses to change or remove what the log holds", func(ctx SpecContext) {
		p := newPromotion(1, 0, items...)
		open(ctx, js, p, items...)
		stream, err := js.Stream(ctx, p.Streams[0])
		Expect(err).NotTo(HaveOccurred())
		Expect(stream.Purge(ctx)).NotTo(Succeed())
		Expect(stream.DeleteMsg(ctx, 1)).NotTo(Succeed())
	})

	It("keeps, changes and removes a promotion's key and stream, repeatedly", func(ctx SpecContext) {
		p := newPromotion(1, 0, items...)
		open(ctx, js, p, items...)
		Expect(prepare.Drained(ctx, js, p)).To(BeFalse())
		bucket, err := js.KeyValue(ctx, prepare.PromotionsBucket)
		Expect(err).NotTo(HaveOccurred())
		before, err := bucket.Get(ctx, p.Uid)
		Expect(err).NotTo(HaveOccurred())
		Expect(prepare.PutPromotion(ctx, js, p)).To(Succeed())
		after, err := bucket.Get(ctx, p.Uid)
		Expect(err).NotTo(HaveOccurred())
		Expect(after.Revision()).To(Equal(before.Revision()))
		for range 2 {
			Expect(prepare.DeletePromotion(ctx, js, p.Uid)).To(Succeed())
			Expect(prepare.DeleteStreams(ctx, js, p)).To(Succeed())
		}
		_, err = bucket.Get(ctx, p.Uid)
		Expect(err).To(MatchError(jetstream.ErrKeyNotFound))
	})
})

// countRecords of all the promotion's partitions.
func countRecords(
	ctx context.Context, js jetstream.JetStream, p *flashv1.Promotion, match func(*flashv1.Record) bool,
) int {
	GinkgoHelper()
	count := 0
	for n := range p.Partitions {
		eachRecord(ctx, js, p, n, func(r *flashv1.Record) {
			if match(r) {
				count++
			}
		})
	}
	return count
}

// eachRecord of a partition, in order.
func eachRecord(
	ctx context.Context, js jetstream.JetStream, p *flashv1.Promotion, n int32, each func(*flashv1.Record),
) {
	GinkgoHelper()
	log := plog.New(js, p)
	last, err := log.Last(ctx, n)
	Expect(err).NotTo(HaveOccurred())
	Expect(log.Read(ctx, n, 0, last, func(_ uint64, r *flashv1.Record) error {
		each(r)
		return nil
	})).To(Succeed())
}
