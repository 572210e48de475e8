package providers_test

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/sim/psp"
)

func hexOf(id uuid.UUID) string { return hex.EncodeToString(id[:]) }

// cases are all methods of all providers, WeChat Pay's in both ways to sign.
type testCase struct {
	provider, method string
	certificates     bool
}

func (c testCase) String() string {
	text := c.provider + " " + c.method
	if c.certificates {
		text += " with platform certificates"
	}
	return text
}

func all() []testCase {
	return []testCase{
		{
			psp.WeChatPay,
			"jsapi",
			false,
		},
		{psp.WeChatPay, "native", false},
		{psp.WeChatPay, "h5", false},
		{psp.WeChatPay, "native", true},
		{psp.Alipay, "page", false},
		{psp.Alipay, "wap", false},
		{psp.Alipay, "app", false},
		{psp.Alipay, "precreate", false},
		{psp.Stripe, "payment_intent", false},
	}
}

// one a provider.
func each() []testCase {
	return []testCase{
		{psp.WeChatPay, "native", false},
		{psp.WeChatPay, "native", true},
		{psp.Alipay, "precreate", false},
		{psp.Stripe, "payment_intent", false},
	}
}

func statement(ctx context.Context, p payment.Provider, at time.Time) []payment.StatementRow {
	day := at.In(p.Location())
	day = time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, day.Location())
	var rows []payment.StatementRow
	Expect(p.Statement(ctx, day, func(r payment.StatementRow) error { rows = append(rows, r); return nil })).To(Succeed())
	return rows
}

var _ = Describe("A payment's life at its provider", func() {
	for _, c := range all() {
		It("goes from creation to the statement: "+c.String(), func(ctx context.Context) {
			w := newWorld(c.provider, c.certificates)
			charge := w.charge(c.method)
			session, err := w.provider.Create(ctx, charge)
			Expect(err).NotTo(HaveOccurred())
			charge.Reference = session.Reference
			again, err := w.provider.Create(ctx, charge)
			Expect(err).NotTo(HaveOccurred(), "the same payment again")
			Expect(again.Reference).To(Equal(session.Reference))
			w.visit(ctx, session)
			Expect(w.sim.Payments()).To(HaveLen(1))

			status, err := w.provider.Query(ctx, charge)
			Expect(err).NotTo(HaveOccurred())
			Expect(status).To(Equal(payment.Status{State: payment.StatusPending}))

			Expect(w.sim.Pay(c.provider, w.number(charge))).To(Succeed())
			told := w.told(payment.KindPayment)
			Expect(told).To(HaveLen(1), "disbelieved: %v", w.disbelieved())
			n := told[0]
			Expect(n.PaymentID).To(Equal(charge.PaymentID))
			Expect([]any{n.Amount, n.Currency, n.Success}).To(Equal([]any{charge.Amount, charge.Currency, true}))
			Expect(w.sim.Deliveries()).To(HaveLen(1), "it was taken at once")

			status, err = w.provider.Query(ctx, charge)
			Expect(err).NotTo(HaveOccurred())
			Expect(status.State).To(Equal(payment.StatusSucceeded))
			Expect(
				[]any{status.TransactionID, status.Amount, status.Currency},
			).To(Equal([]any{n.TransactionID, charge.Amount, charge.Currency}))
			Expect(status.PaidAt).To(BeTemporally("==", w.clock.now()))
			Expect(w.provider.Close(ctx, charge)).To(MatchError(payment.ErrPaid))

			first, second := refundOf(charge, n.TransactionID, 3300), refundOf(charge, n.TransactionID, 5501)
			refunded := map[uuid.UUID]string{}
			for _, r := range []payment.RefundOrder{first, second} {
				unknown, err := w.provider.QueryRefund(ctx, r)
				Expect(err).NotTo(HaveOccurred())
				Expect(unknown.State).To(Equal(payment.RefundNotFound))
				for range 2 {
					s, err := w.provider.Refund(ctx, r)
					Expect(err).NotTo(HaveOccurred())
					Expect(s.State).To(BeElementOf(payment.RefundPending, payment.RefundSucceeded))
				}
				s, err := w.provider.QueryRefund(ctx, r)
				Expect(err).NotTo(HaveOccurred())
				Expect(s.State).To(Equal(payment.RefundSucceeded))
				refunded[r.RefundID] = s.ProviderRefundID
			}
			Expect(w.sim.Refunds(c.provider, w.number(charge))).To(Equal(charge.Amount), "each was paid back once")
			if c.provider != psp.Alipay {
				var ids []string
				for _, n := range w.told(payment.KindRefund) {
					Expect(n.Success).To(BeTrue())
					Expect(n.PaymentID).To(Equal(charge.PaymentID))
					Expect(refunded).To(HaveKeyWithValue(n.RefundID, n.TransactionID))
					ids = append(ids, n.TransactionID)
				}
				Expect(ids).To(HaveLen(2))
			}
			_, err = w.provider.Refund(ctx, refundOf(charge, n.TransactionID, 1))
			Expect(errors.As(err, new(*payment.RefusedError))).To(BeTrue(), "more than was paid: %v", err)
			status, err = w.provider.Query(ctx, charge)
			Expect(err).NotTo(HaveOccurred())
			Expect(status.State).To(Equal(payment.StatusSucceeded), "it was paid, whatever went back since")

			paidAt := w.clock.now()
			w.clock.advance(24 * time.Hour)
			Expect(statement(ctx, w.provider, paidAt)).To(ConsistOf(
				payment.StatementRow{
					Kind:          payment.KindPayment,
					TransactionID: n.TransactionID,
					PaymentID:     charge.PaymentID,
					Amount:        charge.Amount,
					Currency:      charge.Currency,
					At:            paidAt.In(w.zone()),
				},
				w.row(charge, first, refunded[first.RefundID], paidAt),
				w.row(charge, second, refunded[second.RefundID], paidAt),
			))
			Expect(statement(ctx, w.provider, paidAt.Add(-24*time.Hour))).To(BeEmpty())
			Expect(w.disbelieved()).To(BeEmpty())
		})
	}

	for _, c := range each() {
		It("ends unpaid when it is closed: "+c.String(), func(ctx context.Context) {
			w := newWorld(c.provider, c.certificates)
			charge := w.open(ctx, c.method)
			Expect(w.provider.Close(ctx, charge)).To(Succeed())
			Expect(w.provider.Close(ctx, charge)).To(Succeed(), "again")
			status, err := w.provider.Query(ctx, charge)
			Expect(err).NotTo(HaveOccurred())
			Expect(status.State).To(Equal(payment.StatusClosed))
			Expect(w.sim.Pay(c.provider, w.number(charge))).To(MatchError(psp.ErrNotOpen))
			paidAt := w.clock.now()
			w.clock.advance(24 * time.Hour)
			Expect(statement(ctx, w.provider, paidAt)).To(BeEmpty())
		})

		It("is unknown where nobody created it: "+c.String(), func(ctx context.Context) {
			w := newWorld(c.provider, c.certificates)
			charge := w.charge(c.method)
			charge.CreatedAt = w.clock.now().Add(-48 * time.Hour)
			status, err := w.provider.Query(ctx, charge)
			Expect(err).NotTo(HaveOccurred())
			Expect(status).To(Equal(payment.Status{State: payment.StatusNotFound}))
			Expect(w.provider.Close(ctx, charge)).To(Succeed())
			Expect(w.sim.Payments()).To(BeEmpty())
		})

		It("is refused in a currency or by a method that there is not: "+c.String(), func(ctx context.Context) {
			w := newWorld(c.provider, c.certificates)
			charge := w.charge(c.method)
			charge.Currency = "XAU"
			_, err := w.provider.Create(ctx, charge)
			Expect(errors.As(err, new(*payment.RefusedError))).To(BeTrue())
			_, err = w.provider.Create(ctx, w.charge("cash"))
			Expect(errors.As(err, new(*payment.RefusedError))).To(BeTrue())
		})
	}
})

// zone is how the statement's times come: Stripe's are seconds since 1970.
func (w *world) zone() *time.Location {
	if w.name == psp.Stripe {
		return time.Local
	}
	return w.provider.Location()
}

func (w *world) row(c payment.Charge, r payment.RefundOrder, id string, at time.Time) payment.StatementRow {
	row := payment.StatementRow{
		Kind:          payment.KindRefund,
		TransactionID: id,
		PaymentID:     c.PaymentID,
		RefundID:      r.RefundID,
		Amount:        r.Amount,
		Currency:      c.Currency,
		At:            at.In(w.zone()),
	}
	return row
}
