package flash_test

import (
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
)

func fenced(name string) *flashv1.Record {
	return &flashv1.Record{Kind: &flashv1.Record_Fenced{Fenced: &flashv1.Fenced{Owner: name}}}
}

var _ = Describe("A partition's log", func() {
	var js jetstream.JetStream
	var p *flashv1.Promotion
	var log plog.Log

	BeforeEach(func(ctx SpecContext) {
		js = newJetStream()
		items := []prepare.Item{{SKU: "a", Quantity: 10}}
		p = newPromotion(2, 0, items...)
		open(ctx, js, p, items...)
		log = plog.New(js, p)
	})

	It("refuses an append that expects another last record", func(ctx SpecContext) {
		last, err := log.Last(ctx, 0)
		Expect(err).NotTo(HaveOccurred())
		next, err := log.Append(ctx, plog.Entry{Partition: 0, Expected: last, Record: fenced("a")})
		Expect(err).NotTo(HaveOccurred())
		Expect(log.Last(ctx, 0)).To(Equal(next))
		_, err = log.Append(ctx, plog.Entry{Partition: 0, Expected: last, Record: fenced("b")})
		Expect(err).To(MatchError(plog.ErrRefused))
		Expect(log.Last(ctx, 0)).To(Equal(next))
	})

	It("appends a batch to two partitions whole or not at all", func(ctx SpecContext) {
		last := [2]uint64{}
		for n := range last {
			var err error
			last[n], err = log.Last(ctx, int32(n))
			Expect(err).NotTo(HaveOccurred())
		}
		for stale := range last {
			entries := []plog.Entry{
				{Partition: 0, Expected: last[0], Record: fenced("a")},
				{Partition: 1, Expected: last[1], Record: fenced("a")},
			}
			entries[stale].Expected--
			_, err := log.AppendBatch(ctx, entries)
			Expect(err).To(MatchError(plog.ErrRefused))
		}
		Expect(countRecords(ctx, js, p, func(r *flashv1.Record) bool { return r.GetFenced() != nil })).To(BeZero())

		sequence, err := log.AppendBatch(ctx, []plog.Entry{
			{Partition: 0, Expected: last[0], Record: fenced("a")},
			{Partition: 1, Expected: last[1], Record: fenced("a")},
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(log.Last(ctx, 1)).To(Equal(sequence))
		Expect(log.Last(ctx, 0)).To(Equal(sequence - 1))
	})

	It("is caught up with from where the state is", func(ctx SpecContext) {
		state := partition.New()
		Expect(plog.Catch(ctx, log, 1, state)).To(Succeed())
		Expect(state.Shard("a").Available).To(BeEquivalentTo(5))
		next, err := log.Append(ctx, plog.Entry{Partition: 1, Expected: state.Sequence(), Record: fenced("somebody")})
		Expect(err).NotTo(HaveOccurred())
		Expect(plog.Catch(ctx, log, 1, state)).To(Succeed())
		Expect(state.Sequence()).To(Equal(next))
		Expect(state.Owner()).To(Equal("somebody"))
		Expect(plog.Catch(ctx, log, 1, state)).To(Succeed())

		By("losing what was acknowledged")
		Expect(state.Fold(next+1000, fenced("somebody"))).To(Succeed())
		Expect(plog.Catch(ctx, log, 1, state)).To(MatchError(plog.ErrRewound))
	})

	It("has no record where there is none", func(ctx SpecContext) {
		Expect(plog.New(js, &flashv1.Promotion{Uid: "other", Streams: p.Streams, Partitions: 1}).Last(ctx, 0)).To(BeZero())
		Expect(
			plog.New(js, &flashv1.Promotion{Uid: "unknown", Streams: []string{"PROMO_unknown"}, Partitions: 1}).Last(ctx, 0),
		).Error().To(HaveOccurred())
	})
})
