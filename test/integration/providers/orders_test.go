package providers_test

import (
	"context"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/sim/psp"
)

// aMinute is long enough for the poller to ask again.
const aMinute = time.Minute

var _ = Describe("An order", func() {
	for _, c := range []testCase{
		{psp.WeChatPay, "native", false}, {psp.WeChatPay, "jsapi", true}, {psp.Alipay, "precreate", false},
		{psp.Stripe, "payment_intent", false},
	} {
		It("is paid by the notification: "+c.String(), func(ctx context.Context) {
			s := newShop(c)
			id, number := s.charged(ctx)
			s.pay(number)
			Expect(s.state(ctx, id)).To(Equal(order.Paid))
			Expect(s.sim.Deliveries()).To(HaveLen(1))
			s.cancel(ctx, id)
			s.refundsBecome(ctx, id, "SUCCEEDED")
			Expect(s.sim.Refunds(c.provider, number)).To(Equal(int64(price)))
			s.sim.Wait()
			for _, d := range s.sim.Deliveries() {
				Expect(d.Taken).To(BeTrue(), "%+v", d)
			}
		})

		for _, fault := range []psp.Kind{
			psp.Late, psp.Lost, psp.Forged, psp.WrongAmount, psp.WrongCurrency, psp.WrongMerchant,
		} {
			It(
				"is paid once the provider is asked, when the notification is "+string(fault)+": "+c.String(),
				func(ctx context.Context) {
					s := newShop(c)
					id, number := s.charged(ctx)
					s.pay(number, fault)
					Expect(s.state(ctx, id)).To(Equal(order.PendingPayment))
					s.clock.advance(aMinute)
					s.becomes(ctx, id, order.Paid)
					s.sim.Release()
					s.sim.Wait()
					for _, d := range s.sim.Deliveries() {
						Expect(d.Taken).To(Equal(fault == psp.Late), "%+v", d)
					}
					Expect(s.refunds(ctx, id)).To(BeEmpty())
				},
			)
		}

		It("is paid once, however often that is said: "+c.String(), func(ctx context.Context) {
			s := newShop(c)
			id, number := s.charged(ctx)
			s.pay(number, psp.Duplicated)
			Expect(s.state(ctx, id)).To(Equal(order.Paid))
			Expect(s.sim.Deliveries()).To(HaveLen(3))
			Expect(s.refunds(ctx, id)).To(BeEmpty())
		})

		It("is paid when its notification comes after another's: "+c.String(), func(ctx context.Context) {
			s := newShop(c)
			first, number := s.charged(ctx)
			s.pay(number, psp.Reordered)
			second, number := s.charged(ctx)
			s.pay(number)
			Expect(s.state(ctx, first)).To(Equal(order.Paid))
			Expect(s.state(ctx, second)).To(Equal(order.Paid))
		})

		It("has one payment when the answer to creating it is lost: "+c.String(), func(ctx context.Context) {
			s := newShop(c)
			id := s.place(ctx)
			request := s.request(id)
			s.sim.Fault(psp.Fault{Kind: psp.Timeout, Operation: "create", Times: 2})
			_, err := s.payments.CreatePayment(ctx, request)
			Expect(rpcerr.Reason(err)).To(Equal("PROVIDER_UNAVAILABLE"))
			s.sim.ClearFaults()
			// The buyer may have been shown the code all the same, and the notification comes
			// before our own call returned.
			s.pay(s.last())
			Expect(s.state(ctx, id)).To(Equal(order.Paid))
			Expect(s.sim.Payments()).To(HaveLen(1))
		})

		It("keeps the first of two payments and pays the other back: "+c.String(), func(ctx context.Context) {
			s := newShop(c)
			id, first := s.charged(ctx)
			s.create(ctx, id)
			second := s.last()
			Expect(second).NotTo(Equal(first))
			s.sim.Fault(psp.Fault{Kind: psp.Late, Operation: "payment", Times: 1})
			s.pay(first)
			s.pay(second)
			Expect(s.sim.Release()).To(Equal(1))
			s.sim.Wait()
			Expect(s.state(ctx, id)).To(Equal(order.Paid))
			s.refundsBecome(ctx, id, "SUCCEEDED")
			Expect(s.sim.Refunds(c.provider, first) + s.sim.Refunds(c.provider, second)).To(Equal(int64(price)))
		})

		It("that was cancelled is paid back when it is paid all the same: "+c.String(), func(ctx context.Context) {
			s := newShop(c)
			id, number := s.charged(ctx)
			s.sim.Fault(psp.Fault{Kind: psp.Unavailable, Operation: "close", Times: -1})
			s.sim.Fault(psp.Fault{Kind: psp.Unavailable, Operation: "query", Times: -1})
			s.cancel(ctx, id)
			s.pay(number)
			s.sim.ClearFaults()
			Eventually(func() any {
				if s.state(ctx, id) == order.Paid {
					return int64(price)
				}
				return s.sim.Refunds(c.provider, number)
			}).WithTimeout(patience).Should(Equal(int64(price)), "stock was there again and it is paid, or it is paid back")
		})

		It("is paid back once the provider no longer refuses: "+c.String(), func(ctx context.Context) {
			s := newShop(c)
			id, number := s.charged(ctx)
			s.pay(number)
			s.sim.Fault(psp.Fault{Kind: psp.RefundRefused, Times: 2})
			s.cancel(ctx, id)
			s.refundsBecome(ctx, id, "FAILED")
			Expect(s.sim.Refunds(c.provider, number)).To(BeZero())
			s.refundsBecomeAfter(ctx, id, aMinute, "SUCCEEDED")
			Expect(s.sim.Refunds(c.provider, number)).To(Equal(int64(price)))
		})

		It("is paid back once when the answers to refunding are lost: "+c.String(), func(ctx context.Context) {
			s := newShop(c)
			id, number := s.charged(ctx)
			s.pay(number)
			s.sim.Fault(psp.Fault{Kind: psp.Timeout, Operation: "refund", Times: 4})
			s.sim.Fault(psp.Fault{Kind: psp.Lost, Operation: "refund", Times: -1})
			s.cancel(ctx, id)
			s.refundsBecomeAfter(ctx, id, 5*time.Second, "SUCCEEDED")
			Expect(s.sim.Refunds(c.provider, number)).To(Equal(int64(price)))
		})

		It("is in the provider's statement, and what is there besides is found: "+c.String(), func(ctx context.Context) {
			s := newShop(c)
			id, number := s.charged(ctx)
			s.pay(number)
			s.cancel(ctx, id)
			s.refundsBecome(ctx, id, "SUCCEEDED")
			kept, number := s.charged(ctx)
			s.pay(number)
			Expect(s.state(ctx, kept)).To(Equal(order.Paid))
			// Somebody else uses the same merchant, and a payment of that is told here.
			other := payment.Charge{
				PaymentID:   uuid.New(),
				OrderID:     uuid.New(),
				Amount:      100,
				Currency:    "CNY",
				CreatedAt:   s.clock.now(),
				ExpiresAt:   s.clock.now().Add(time.Hour),
				Method:      c.method,
				OpenID:      "o2",
				ClientIP:    "203.0.113.8",
				Description: "another's",
			}
			_, err := s.direct.Create(ctx, other)
			Expect(err).NotTo(HaveOccurred())
			s.pay(s.last())

			day := s.day(s.clock.now())
			s.clock.advance(48 * time.Hour)
			found := s.differences(ctx, day, 4)
			Expect(found).To(HaveLen(1), "%v", found)
			Expect(found[0].GetKind()).To(Equal(paymentv1.DifferenceKind_DIFFERENCE_KIND_MISSING_HERE))
		})

		if c.provider != psp.Alipay {
			It(
				"agrees with statements of both days when a bank takes its time to pay back: "+c.String(),
				func(ctx context.Context) {
					s := newShop(c)
					id, number := s.charged(ctx)
					s.pay(number)
					s.sim.Fault(psp.Fault{Kind: psp.RefundPending})
					s.cancel(ctx, id)
					s.refundsBecome(ctx, id, "PENDING")
					day := s.clock.now()
					s.clock.advance(48 * time.Hour)
					Expect(s.differences(ctx, s.day(day), 2)).To(BeEmpty())
					s.sim.SettleRefunds(true)
					s.refundsBecome(ctx, id, "SUCCEEDED")
					settled := s.clock.now()
					s.clock.advance(48 * time.Hour)
					Expect(s.differences(ctx, s.day(settled), 0)).To(BeEmpty())
				},
			)
		}

		if c.provider != psp.Alipay {
			It("is paid back by the notification of a refund that took its time: "+c.String(), func(ctx context.Context) {
				s := newShop(c)
				id, number := s.charged(ctx)
				s.pay(number)
				s.sim.Fault(psp.Fault{Kind: psp.RefundPending})
				s.cancel(ctx, id)
				s.refundsBecome(ctx, id, "PENDING")
				s.sim.SettleRefunds(true)
				s.refundsBecome(ctx, id, "SUCCEEDED")
				s.sim.Wait()
				deliveries := s.sim.Deliveries()
				Expect(deliveries[len(deliveries)-1].Taken).To(BeTrue())
			})
		}
	}
})
