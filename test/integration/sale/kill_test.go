package sale_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/sale"
)

// steps of a whole sale, as the event lives it.
var steps = []sale.Step{
	sale.StepAllocate, sale.StepEnsureStreams, sale.StepOpenPartitions, sale.StepTopUp, sale.StepPublish,
	sale.StepTopUp, sale.StepPublish,
	sale.StepEndTopUps, sale.StepClosePartitions, sale.StepDrain, sale.StepPublishClosed, sale.StepProve,
	sale.StepReturnUnsold,
}

// dieAfter has the sale lived until so many steps were done. It reports the steps, and whether it
// died: whoever ran the sale then has no answer to its last step, and no context for another.
func (e *event) dieAfter(ctx context.Context, count int) (did []sale.Step, totals []sale.Total, died bool) {
	GinkgoHelper()
	living, die := context.WithCancel(ctx)
	defer die()
	totals, err := e.live(living, func(step sale.Step, _ *flashv1.Promotion) error {
		if did = append(did, step); len(did) < count {
			return nil
		}
		die()
		return living.Err()
	})
	died = living.Err() != nil
	if died {
		Expect(errors.Is(err, context.Canceled)).To(BeTrue(), "%v", err)
	} else {
		Expect(err).NotTo(HaveOccurred())
	}
	return did, totals, died
}

var _ = Describe("A sale", Ordered, func() {
	var s *shop
	BeforeAll(func(ctx SpecContext) { s = newShop(ctx) })

	It("goes through its steps in their order, and removes its log", func(ctx SpecContext) {
		e := s.newEvent(ctx)
		did, totals, _ := e.dieAfter(ctx, len(steps)+1)
		Expect(did).To(Equal(steps))
		e.expectSettled(ctx, totals)
		for range 2 {
			Expect(e.runner(phones, nil).Remove(ctx)).To(Succeed())
			for _, name := range e.promo.GetStreams() {
				_, err := s.js.Stream(ctx, name)
				Expect(err).To(MatchError(jetstream.ErrStreamNotFound))
			}
		}
	}, SpecTimeout(time.Minute))

	It("ends as if nothing had been when whoever runs it dies between any two steps", func(ctx SpecContext) {
		for count := 1; count <= len(steps); count++ {
			e := s.newEvent(ctx)
			did, _, died := e.dieAfter(ctx, count)
			Expect(died).To(BeTrue())
			Expect(did).To(Equal(steps[:count]))
			e.expectNothingLost(ctx, fmt.Sprintf("after it died %s", did[count-1]))

			By(fmt.Sprintf("resuming after it died %s, when more is asked for from the start", did[count-1]))
			e.asked = phones + morePhones
			did, totals, _ := e.dieAfter(ctx, len(steps)+1)
			Expect(did).To(Equal(steps), "every step may be repeated")
			e.expectSettled(ctx, totals)
		}
	}, SpecTimeout(2*time.Minute))

	It("ends as if nothing had been when whoever runs it dies again and again, a step later", func(ctx SpecContext) {
		e := s.newEvent(ctx)
		for count := 1; count <= len(steps); count++ {
			did, _, died := e.dieAfter(ctx, count)
			Expect(died).To(BeTrue())
			e.expectNothingLost(ctx, fmt.Sprintf("after it died %s", did[count-1]))
		}
		_, totals, died := e.dieAfter(ctx, len(steps)+1)
		Expect(died).To(BeFalse())
		e.expectSettled(ctx, totals)
	}, SpecTimeout(time.Minute))
})
