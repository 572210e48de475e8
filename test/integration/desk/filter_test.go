package desk_test

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
)

const manySamples = 300

// walked is a list over all its pages.
type walked struct {
	ids []string
	// short are the pages that had less than was asked for, and were not the last.
	short int
}

// walk lists to the end; between is called after each page.
func walk(
	ctx context.Context, service *desk.Service, f *deskv1.OrderFilter, sort deskv1.OrderSort, size int32, between func(),
) walked {
	GinkgoHelper()
	out := walked{ids: []string{}}
	token := ""
	for pages := 1; ; pages++ {
		answer, err := service.ListOrders(ctx, &deskv1.ListOrdersRequest{
			Filter: f, Sort: sort, PageSize: size, PageToken: token,
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(len(answer.GetOrders())).To(BeNumerically("<=", size))
		for _, o := range answer.GetOrders() {
			out.ids = append(out.ids, o.GetOrderId())
		}
		if token = answer.GetNextPageToken(); token == "" {
			return out
		}
		if len(answer.GetOrders()) < int(size) {
			out.short++
		}
		Expect(pages).To(BeNumerically("<", 10*manySamples), "the pages have no end")
		between()
	}
}

var _ = Describe("Finding orders", func() {
	var (
		w       *world
		r       *rand.Rand
		begin   time.Time
		samples []*sample
	)
	BeforeEach(func(ctx SpecContext) {
		w = newWorld(ctx)
		r = rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 1))
		begin = time.Now().UTC().Truncate(time.Minute).Add(-3 * time.Hour)
		samples = nil
		for n := range manySamples {
			samples = append(samples, randomSample(r, n, begin))
		}
		w.store(ctx, samples...)
	})

	// compare lists and counts by a filter at a desk and compares with what there is.
	compare := func(ctx context.Context, service *desk.Service, f *deskv1.OrderFilter) (short int) {
		GinkgoHelper()
		shown := protojson.Format(f)
		for _, sort := range []deskv1.OrderSort{deskv1.OrderSort_ORDER_SORT_UNSPECIFIED, deskv1.OrderSort_ORDER_SORT_OLDEST} {
			want := expected(samples, f, w.shop.Clock.Now(), sort == deskv1.OrderSort_ORDER_SORT_OLDEST)
			got := walk(support(ctx), service, f, sort, 1+r.Int32N(50), func() {})
			Expect(got.ids).To(Equal(want), shown)
			short += got.short
		}
		return short
	}

	It("gives exactly what matches, in its order, and counts it", func(ctx SpecContext) {
		found := 0
		for round := range 5 * len(asks) {
			f := &deskv1.OrderFilter{}
			asks[round%len(asks)](r, f, begin)
			for range r.IntN(3) {
				pick(r, asks)(r, f, begin)
			}
			compare(ctx, w.service, f)
			want := int64(len(expected(samples, f, w.shop.Clock.Now(), false)))
			answer, err := w.service.CountOrders(support(ctx), &deskv1.CountOrdersRequest{Filters: []*deskv1.OrderFilter{{}, f}})
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.GetCounts()).To(HaveLen(2))
			Expect(answer.GetCounts()[0].GetCount()).To(BeEquivalentTo(manySamples))
			Expect(answer.GetCounts()[1].GetCount()).To(Equal(want), protojson.Format(f))
			Expect(answer.GetCounts()[1].GetMore() || answer.GetCounts()[1].GetUnfinished()).To(BeFalse())
			if want > 0 {
				found++
			}
		}
		Expect(found).To(BeNumerically(">", 2*len(asks)), "the filters find too little to tell anything")
		compare(ctx, w.service, nil)
	})

	It("goes on with the next call where one has looked at enough", func(ctx SpecContext) {
		short := 0
		for _, bounds := range [][2]int{{5, 2}, {40, 10}, {100, 1}} {
			service := w.bounded(bounds[0], bounds[1])
			for range 20 {
				f := &deskv1.OrderFilter{}
				for range 1 + r.IntN(3) {
					pick(r, asks)(r, f, begin)
				}
				short += compare(ctx, service, f)
				want := int64(len(expected(samples, f, w.shop.Clock.Now(), false)))
				answer, err := service.CountOrders(support(ctx), &deskv1.CountOrdersRequest{Filters: []*deskv1.OrderFilter{f}})
				Expect(err).NotTo(HaveOccurred())
				count := answer.GetCounts()[0]
				Expect(count.GetCount()).To(BeNumerically("<=", min(want, int64(bounds[0]))), protojson.Format(f))
				Expect(!count.GetMore() || count.GetCount() == int64(bounds[0]) && want > count.GetCount()).To(BeTrue(),
					protojson.Format(f))
				Expect(count.GetMore() || count.GetUnfinished() || count.GetCount() == want).To(BeTrue(), protojson.Format(f))
			}
		}
		Expect(short).To(BeNumerically(">", 50), "no page was cut short")
	})

	It("neither skips nor repeats what was there all along", func(ctx SpecContext) {
		service := w.bounded(20, 5)
		for _, sort := range []deskv1.OrderSort{deskv1.OrderSort_ORDER_SORT_UNSPECIFIED, deskv1.OrderSort_ORDER_SORT_OLDEST} {
			f := &deskv1.OrderFilter{Channel: "web", HasNote: deskv1.Choice_CHOICE_NO}
			stay, others := samples[:manySamples/2], samples[manySamples/2:]
			want := expected(stay, f, w.shop.Clock.Now(), sort == deskv1.OrderSort_ORDER_SORT_OLDEST)
			Expect(len(want)).To(BeNumerically(">", 10))
			known := map[string]bool{}
			for _, id := range want {
				known[id] = true
			}
			got := walk(support(ctx), service, f, sort, 4, func() {
				w.store(ctx, randomSample(r, 0, begin), randomSample(r, 0, begin))
				changed, gone := pick(r, others), pick(r, others)
				w.exec(ctx, "UPDATE orders SET channel = $2 WHERE order_id = $1", changed.id, pick(r, someChannels))
				w.exec(ctx, "DELETE FROM orders WHERE order_id = $1", gone.id)
				w.follow(ctx, changed.id, gone.id)
			})
			seen, stayed := map[string]bool{}, []string{}
			for _, id := range got.ids {
				Expect(seen).NotTo(HaveKey(id), "it is there twice")
				seen[id] = true
				if known[id] {
					stayed = append(stayed, id)
				}
			}
			Expect(stayed).To(Equal(want))
		}
	})

	It("shows what the order has", func(ctx SpecContext) {
		for _, s := range samples[:50] {
			f := &deskv1.OrderFilter{BuyerId: s.buyer, Placed: &deskv1.TimeRange{
				Since: timestamppb.New(s.created), Until: timestamppb.New(s.created.Add(time.Minute)),
			}}
			answer, err := w.service.ListOrders(support(ctx), &deskv1.ListOrdersRequest{Filter: f, PageSize: 100})
			Expect(err).NotTo(HaveOccurred())
			var o *deskv1.ListedOrder
			for _, listed := range answer.GetOrders() {
				if uuid.MustParse(listed.GetOrderId()) == s.id {
					o = listed
				}
			}
			Expect(o).NotTo(BeNil())
			Expect(o.GetState().String()).To(Equal("ORDER_STATE_" + s.state))
			Expect(o.GetFulfilmentStatus().String()).To(Equal(s.fulfilment))
			Expect(o.GetRefundStatus().String()).To(Equal(s.refund))
			Expect(o.GetProvider()).To(Equal(s.provider))
			Expect(o.GetTags()).To(ConsistOf(s.tags))
			Expect(o.GetHasNote()).To(Equal(s.notes > 0))
			Expect(o.GetTitle()).To(Equal(s.skus[0]))
			Expect(o.GetLines()).To(BeEquivalentTo(len(s.skus)))
			Expect(o.GetRecipient()).To(Equal(s.address.GetRecipient()))
			Expect(o.GetPhone()).To(Equal(s.address.GetPhone()))
			Expect(o.GetCreatedAt().AsTime()).To(BeTemporally("==", s.created))
			Expect(o.GetTotal().GetAmount()).To(Equal(s.total))
			Expect(o.GetReturnState() == 0).To(Equal(s.returned == ""))
		}
	})

	It("refuses page tokens that are not its own", func(ctx SpecContext) {
		for _, token := range []string{"%", "WzFd", "W10"} {
			_, err := w.service.ListOrders(support(ctx), &deskv1.ListOrdersRequest{PageToken: token})
			refused(err, "INVALID_PAGE_TOKEN", map[string]string{"field": "page_token"})
		}
	})
})
