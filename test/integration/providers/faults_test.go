package providers_test

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/sim/psp"
)

// refused tells whether an error is the provider's no.
func refused(err error) bool { return errors.As(err, new(*payment.RefusedError)) }

// openEnded is an error that says nothing of what became of the call.
func openEnded(err error) {
	GinkgoHelper()
	Expect(err).To(HaveOccurred())
	Expect(refused(err)).To(BeFalse(), "%v", err)
}

var _ = Describe("A notification", func() {
	for _, c := range each() {
		paid := func(ctx context.Context, faults ...psp.Kind) (*world, payment.Charge) {
			w := newWorld(c.provider, c.certificates)
			charge := w.open(ctx, c.method)
			var list []psp.Fault
			for _, kind := range faults {
				list = append(list, psp.Fault{Kind: kind})
			}
			Expect(w.sim.Pay(c.provider, w.number(charge), list...)).To(Succeed())
			return w, charge
		}
		succeeded := func(ctx context.Context, w *world, charge payment.Charge) {
			GinkgoHelper()
			status, err := w.provider.Query(ctx, charge)
			Expect(err).NotTo(HaveOccurred())
			Expect(
				[]any{status.State, status.Amount, status.Currency},
			).To(Equal([]any{payment.StatusSucceeded, charge.Amount, charge.Currency}))
		}

		It("that is late says the same: "+c.String(), func(ctx context.Context) {
			w, charge := paid(ctx, psp.Late)
			Expect(w.told(payment.KindPayment)).To(BeEmpty())
			succeeded(ctx, w, charge)
			w.clock.advance(3 * time.Hour)
			Expect(w.sim.Release()).To(Equal(1))
			Expect(w.told(payment.KindPayment)).To(HaveLen(1))
		})

		It("that is lost leaves the query: "+c.String(), func(ctx context.Context) {
			w, charge := paid(ctx, psp.Lost)
			Expect(w.told(payment.KindPayment)).To(BeEmpty())
			succeeded(ctx, w, charge)
		})

		It("that is duplicated names the same transaction: "+c.String(), func(ctx context.Context) {
			w, _ := paid(ctx, psp.Duplicated)
			told := w.told(payment.KindPayment)
			Expect(told).To(HaveLen(3))
			Expect(told[1]).To(Equal(told[0]))
			Expect(told[2]).To(Equal(told[0]))
		})

		It("that comes after the next one still counts: "+c.String(), func(ctx context.Context) {
			w, first := paid(ctx, psp.Reordered)
			second := w.open(ctx, c.method)
			Expect(w.sim.Pay(c.provider, w.number(second))).To(Succeed())
			told := w.told(payment.KindPayment)
			Expect(told).To(HaveLen(2))
			Expect([]any{told[0].PaymentID, told[1].PaymentID}).To(Equal([]any{second.PaymentID, first.PaymentID}))
		})

		It("that is forged is not believed: "+c.String(), func(ctx context.Context) {
			w, charge := paid(ctx, psp.Forged)
			Expect(w.told(payment.KindPayment)).To(BeEmpty())
			Expect(w.disbelieved()).To(HaveEach(ContainSubstring("SIGNATURE_WRONG")))
			Expect(w.sim.Deliveries()).To(HaveLen(3), "the provider sends it again, as it was not taken")
			succeeded(ctx, w, charge)
		})

		It("for another merchant is not believed: "+c.String(), func(ctx context.Context) {
			w, _ := paid(ctx, psp.WrongMerchant)
			Expect(w.told(payment.KindPayment)).To(BeEmpty())
			Expect(w.disbelieved()).To(HaveEach(ContainSubstring(payment.ReasonMerchantWrong)))
		})

		It("says the amount and the currency that the provider says: "+c.String(), func(ctx context.Context) {
			w, charge := paid(ctx, psp.WrongAmount)
			told := w.told(payment.KindPayment)
			Expect(told).To(HaveLen(1))
			Expect(told[0].Amount).To(Equal(charge.Amount - 1))
			w, charge = paid(ctx, psp.WrongCurrency)
			told = w.told(payment.KindPayment)
			Expect(told).To(HaveLen(1))
			Expect(told[0].Currency).NotTo(Equal(charge.Currency))
		})

		It("is sent again until it is taken: "+c.String(), func(ctx context.Context) {
			w := newWorld(c.provider, c.certificates)
			charge := w.open(ctx, c.method)
			w.deny = errors.New("the database is away")
			Expect(w.sim.Pay(c.provider, w.number(charge))).To(Succeed())
			Expect(w.told(payment.KindPayment)).To(HaveLen(3))
			for _, d := range w.sim.Deliveries() {
				Expect(d.Taken).To(BeFalse())
				Expect(d.Body).NotTo(ContainSubstring("database"))
			}
		})

		It("that is too old is not believed: "+c.String(), func(ctx context.Context) {
			w := newWorld(c.provider, c.certificates)
			charge := w.open(ctx, c.method)
			w.late = 30 * time.Hour
			Expect(w.sim.Pay(c.provider, w.number(charge))).To(Succeed())
			Expect(w.told(payment.KindPayment)).To(BeEmpty())
			Expect(w.disbelieved()).To(HaveEach(ContainSubstring("TOO_OLD")))
		})
	}
})

var _ = Describe("A call", func() {
	for _, c := range each() {
		It("whose answer is lost can be made again: "+c.String(), func(ctx context.Context) {
			w := newWorld(c.provider, c.certificates)
			charge := w.charge(c.method)
			w.sim.Fault(psp.Fault{Kind: psp.Timeout, Operation: "create"})
			_, err := w.provider.Create(ctx, charge)
			openEnded(err)
			status, err := w.provider.Query(ctx, charge)
			Expect(err).NotTo(HaveOccurred())
			Expect(status.State).To(Equal(payment.StatusPending), "it is there, though nobody was told")
			session, err := w.provider.Create(ctx, charge)
			Expect(err).NotTo(HaveOccurred())
			charge.Reference = session.Reference
			Expect(w.sim.Payments()).To(HaveLen(1))

			Expect(w.sim.Pay(c.provider, w.sim.Numbers(c.provider)[0])).To(Succeed())
			n := w.told(payment.KindPayment)[0]
			r := refundOf(charge, n.TransactionID, 100)
			// Twice: Go's client itself repeats a call with an idempotency key.
			w.sim.Fault(psp.Fault{Kind: psp.Timeout, Operation: "refund", Times: 2})
			_, err = w.provider.Refund(ctx, r)
			openEnded(err)
			w.sim.ClearFaults()
			s, err := w.provider.QueryRefund(ctx, r)
			Expect(err).NotTo(HaveOccurred())
			Expect(s.State).To(Equal(payment.RefundSucceeded))
			_, err = w.provider.Refund(ctx, r)
			Expect(err).NotTo(HaveOccurred())
			Expect(w.sim.Refunds(c.provider, w.number(charge))).To(Equal(int64(100)))

			other := w.open(ctx, c.method)
			w.sim.Fault(psp.Fault{Kind: psp.Timeout, Operation: "close", Times: 2})
			openEnded(w.provider.Close(ctx, other))
			w.sim.ClearFaults()
			Expect(w.provider.Close(ctx, other)).To(Succeed())
		})

		It("that the provider cannot serve now is no refusal: "+c.String(), func(ctx context.Context) {
			w := newWorld(c.provider, c.certificates)
			for _, operation := range []string{"create", "query", "close", "statement"} {
				w.sim.Fault(psp.Fault{Kind: psp.Unavailable, Operation: operation})
			}
			_, err := w.provider.Create(ctx, w.charge(c.method))
			openEnded(err)
			charge := w.open(ctx, c.method)
			_, err = w.provider.Query(ctx, charge)
			openEnded(err)
			openEnded(w.provider.Close(ctx, charge))
			openEnded(w.provider.Statement(ctx, w.clock.now(), func(payment.StatementRow) error { return nil }))
			Expect(w.sim.Pay(c.provider, w.number(charge))).To(Succeed())
			w.sim.Fault(psp.Fault{Kind: psp.Unavailable, Operation: "refund"})
			r := refundOf(charge, w.told(payment.KindPayment)[0].TransactionID, 100)
			_, err = w.provider.Refund(ctx, r)
			openEnded(err)
			s, err := w.provider.QueryRefund(ctx, r)
			Expect(err).NotTo(HaveOccurred())
			Expect(s.State).To(Equal(payment.RefundNotFound))
		})

		It("has a refund refused, and asks again with the same id: "+c.String(), func(ctx context.Context) {
			w := newWorld(c.provider, c.certificates)
			charge := w.open(ctx, c.method)
			Expect(w.sim.Pay(c.provider, w.number(charge))).To(Succeed())
			r := refundOf(charge, w.told(payment.KindPayment)[0].TransactionID, charge.Amount)
			w.sim.Fault(psp.Fault{Kind: psp.RefundRefused, Times: 2})
			for range 2 {
				_, err := w.provider.Refund(ctx, r)
				Expect(refused(err)).To(BeTrue(), "%v", err)
				s, err := w.provider.QueryRefund(ctx, r)
				Expect(err).NotTo(HaveOccurred())
				Expect(s.State).To(Equal(payment.RefundNotFound))
			}
			_, err := w.provider.Refund(ctx, r)
			Expect(err).NotTo(HaveOccurred())
			Expect(w.sim.Refunds(c.provider, w.number(charge))).To(Equal(charge.Amount))
		})

		if c.provider != psp.Alipay {
			It("has a refund that takes its time: "+c.String(), func(ctx context.Context) {
				w := newWorld(c.provider, c.certificates)
				charge := w.open(ctx, c.method)
				Expect(w.sim.Pay(c.provider, w.number(charge))).To(Succeed())
				r := refundOf(charge, w.told(payment.KindPayment)[0].TransactionID, charge.Amount)
				w.sim.Fault(psp.Fault{Kind: psp.RefundPending})
				s, err := w.provider.Refund(ctx, r)
				Expect(err).NotTo(HaveOccurred())
				Expect(s.State).To(Equal(payment.RefundPending))
				Expect(w.told(payment.KindRefund)).To(BeEmpty())
				w.sim.SettleRefunds(true)
				Expect(w.told(payment.KindRefund)).To(HaveLen(1))
				s, err = w.provider.QueryRefund(ctx, r)
				Expect(err).NotTo(HaveOccurred())
				Expect(s.State).To(Equal(payment.RefundSucceeded))
			})
		}

		if c.provider != psp.Stripe {
			It("is not believed when its answer is forged: "+c.String(), func(ctx context.Context) {
				w := newWorld(c.provider, c.certificates)
				charge := w.open(ctx, c.method)
				Expect(w.sim.Pay(c.provider, w.number(charge))).To(Succeed())
				w.sim.Fault(psp.Fault{Kind: psp.ForgedAnswer, Operation: "query"})
				_, err := w.provider.Query(ctx, charge)
				openEnded(err)
				w.sim.Fault(psp.Fault{Kind: psp.ForgedAnswer, Operation: "query"})
				unknown := w.charge(c.method)
				_, err = w.provider.Query(ctx, unknown)
				openEnded(err)
			})
		}
	}

	It(
		"downloads WeChat Pay's new certificate when it is used first, and no more than once a minute",
		func(ctx context.Context) {
			w := newWorld(psp.WeChatPay, true)
			charge := w.open(ctx, "native")
			Expect(w.sim.RotateCertificate()).To(Succeed())
			w.clock.advance(2 * time.Minute)
			_, err := w.provider.Query(ctx, charge)
			Expect(err).NotTo(HaveOccurred())
			Expect(w.sim.RotateCertificate()).To(Succeed())
			_, err = w.provider.Query(ctx, charge)
			openEnded(err)
			w.clock.advance(2 * time.Minute)
			_, err = w.provider.Query(ctx, charge)
			Expect(err).NotTo(HaveOccurred())
			Expect(w.sim.Pay(psp.WeChatPay, w.number(charge))).To(Succeed())
			Expect(w.told(payment.KindPayment)).To(HaveLen(1))
		},
	)

	It("does not believe certificates of WeChat Pay's that are not signed by one of them", func(ctx context.Context) {
		w := newWorld(psp.WeChatPay, true)
		charge := w.charge("native")
		w.sim.Fault(psp.Fault{Kind: psp.ForgedAnswer, Operation: "certificates"})
		_, err := w.provider.Create(ctx, charge)
		openEnded(err)
		w.clock.advance(2 * time.Minute)
		_, err = w.provider.Create(ctx, charge)
		Expect(err).NotTo(HaveOccurred())
	})

	It("does not believe a bill of WeChat Pay's that is not what was announced", func(ctx context.Context) {
		w := newWorld(psp.WeChatPay, false)
		charge := w.open(ctx, "native")
		Expect(w.sim.Pay(psp.WeChatPay, w.number(charge))).To(Succeed())
		day := w.clock.now()
		w.clock.advance(24 * time.Hour)
		w.sim.Fault(psp.Fault{Kind: psp.ForgedAnswer, Operation: "download"})
		openEnded(w.provider.Statement(ctx, day, func(payment.StatementRow) error { return nil }))
	})

	It("finds Stripe's statement over many pages", func(ctx context.Context) {
		w := newWorld(psp.Stripe, false)
		var want []any
		for range 230 {
			charge := w.open(ctx, "payment_intent")
			Expect(w.sim.Pay(psp.Stripe, w.number(charge))).To(Succeed())
			want = append(want, charge.PaymentID)
		}
		var got []any
		for _, row := range statement(ctx, w.provider, w.clock.now()) {
			got = append(got, row.PaymentID)
		}
		Expect(got).To(ConsistOf(want...))
	})

	It("does not refund twice at Stripe when the idempotency key is forgotten", func(ctx context.Context) {
		w := newWorld(psp.Stripe, false)
		charge := w.open(ctx, "payment_intent")
		Expect(w.sim.Pay(psp.Stripe, w.number(charge))).To(Succeed())
		r := refundOf(charge, w.told(payment.KindPayment)[0].TransactionID, 100)
		for range 2 {
			s, err := w.provider.Refund(ctx, r)
			Expect(err).NotTo(HaveOccurred())
			Expect(s.State).To(Equal(payment.RefundSucceeded))
			w.clock.advance(25 * time.Hour)
		}
		Expect(w.sim.Refunds(psp.Stripe, w.number(charge))).To(Equal(int64(100)))
		lost := charge
		lost.Reference = ""
		status, err := w.provider.Query(ctx, lost)
		Expect(err).NotTo(HaveOccurred())
		Expect(status.State).To(Equal(payment.StatusSucceeded), "it is found by its metadata")
		Expect(w.sim.Payments()).To(HaveLen(1))
	})

	It("ignores what Stripe tells of a buyer's failed try", func(ctx context.Context) {
		w := newWorld(psp.Stripe, false)
		charge := w.open(ctx, "payment_intent")
		Expect(w.sim.StripeEvent(charge.Reference, "payment_intent.payment_failed")).To(Succeed())
		Expect(w.told(payment.KindPayment)).To(BeEmpty())
		Expect(w.disbelieved()).To(BeEmpty())
		Expect(w.sim.Deliveries()).To(HaveLen(1))
	})
})
