package invoice_test

import (
	"context"
	"fmt"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	invoicev1 "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

var _ = Describe("many at once", func() {
	var w *world
	BeforeEach(func(ctx context.Context) { w = newWorld(ctx) })

	It("ask for an order's invoice, and its consumer besides: there is one", func(ctx context.Context) {
		id := w.wishing(ctx, three)
		atOnce(12, func(n int) {
			if n%3 == 0 {
				Expect(w.follow(ctx, id)).To(Succeed())
				return
			}
			_, err := w.request(ctx, id, "Ann")
			Expect(err).NotTo(HaveOccurred())
		})
		Expect(w.theirs(ctx, id)).To(HaveLen(1))
	})

	It("with one request id ask once", func(ctx context.Context) {
		id := w.paid(ctx, three)
		req := &invoicev1.RequestInvoiceRequest{
			RequestId: "r", BuyerId: buyer, OrderId: id.String(), Invoice: person("Ann"),
		}
		atOnce(10, func(int) {
			_, err := w.invoices.RequestInvoice(ctx, req)
			Expect(err).NotTo(HaveOccurred())
		})
		Expect(w.announced(ctx, id)).To(HaveLen(1))
	})

	It("change and issue: it is issued once, with what was read", func(ctx context.Context) {
		for range 5 {
			id := w.paid(ctx, three)
			w.requested(ctx, id, "first")
			var mu sync.Mutex
			read := map[string]string{}
			var won []string
			atOnce(16, func(n int) {
				if n%2 == 0 {
					_, err := w.request(ctx, id, fmt.Sprintf("title %d", n))
					Expect(rpcerr.Reason(err)).To(BeElementOf("", "INVOICE_STATE_CONFLICT"))
					return
				}
				i, number := w.theirs(ctx, id)[0], fmt.Sprintf("F-%d", n)
				_, err := w.issue(ctx, i, number, 300)
				Expect(rpcerr.Reason(err)).To(BeElementOf("", "INVOICE_STATE_CONFLICT", "INVOICE_CHANGED"))
				mu.Lock()
				defer mu.Unlock()
				read[number] = i.GetRequest().GetTitle()
				if err == nil {
					won = append(won, number)
				}
			})
			mine := w.theirs(ctx, id)
			Expect(mine).To(HaveLen(1))
			if len(won) == 0 {
				// Each had read what was changed before it came.
				Expect(mine[0].GetState()).To(Equal(requested))
				continue
			}
			Expect(won).To(Equal([]string{mine[0].GetNumber()}))
			Expect(mine[0].GetState()).To(Equal(issued))
			Expect(mine[0].GetRequest().GetTitle()).To(Equal(read[won[0]]))
			steps := w.steps(ctx, mine[0].GetInvoiceId())
			Expect(steps[len(steps)-1]).To(Equal("issue|staff fay|" + won[0]))
		}
	})

	It("issue, reject, refund and cancel: no invoice is issued for more than is left then", func(ctx context.Context) {
		for range 5 {
			id := w.paid(ctx, three)
			i := w.requested(ctx, id, "Ann")
			var mu sync.Mutex
			ended := 0
			end := func(_ *invoicev1.Invoice, err error) {
				Expect(rpcerr.Reason(err)).To(BeElementOf("", "INVOICE_STATE_CONFLICT", "INVOICE_EXCEEDS", "INVOICE_CHANGED"))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					ended++
				}
			}
			atOnce(12, func(n int) {
				switch n % 4 {
				case 0:
					end(w.issue(ctx, i, fmt.Sprintf("F-%d", n), 300))
				case 1:
					end(w.reject(ctx, i, "no"))
				case 2:
					err := w.shop.Cancel(ctx, buyer, id)
					Expect(err).NotTo(HaveOccurred())
				case 3:
					Expect(w.follow(ctx, id)).To(Succeed())
				}
			})
			Expect(w.follow(ctx, id)).To(Succeed())
			mine := w.theirs(ctx, id)
			Expect(mine).To(HaveLen(1))
			Expect(ended).To(BeNumerically("<=", 1))
			Expect(mine[0].GetState()).To(BeElementOf(issued, rejected))
			Expect(mine[0].GetExceeds()).To(Equal(mine[0].GetState() == issued), "all of it was refunded afterwards")
			Expect(w.steps(ctx, mine[0].GetInvoiceId())).To(HaveLen(2))
		}
	})

	It("issue and refund: whatever is issued is issued before the refund", func(ctx context.Context) {
		for range 20 {
			id := w.paid(ctx, three)
			i := w.requested(ctx, id, "Ann")
			atOnce(2, func(n int) {
				if n == 0 {
					w.refund(ctx, id, 3)
					return
				}
				_, err := w.issue(ctx, i, "F-1", 300)
				Expect(rpcerr.Reason(err)).To(BeElementOf("", "INVOICE_EXCEEDS"))
			})
			for _, e := range w.events(ctx, id) {
				// The order as it was when the invoice was issued.
				Expect(e.GetOrder().GetLines()[0].GetRefundGranted().GetAmount()).To(BeZero(), e.GetState())
			}
		}
	})
})

// atOnce does it so many times at the same time.
func atOnce(times int, do func(n int)) {
	GinkgoHelper()
	var wg sync.WaitGroup
	for n := range times {
		wg.Go(func() {
			defer GinkgoRecover()
			do(n)
		})
	}
	wg.Wait()
}
