package stripe

import (
	"context"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v82"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

// pageSize of lists; Stripe takes no more.
const pageSize = 100

// Statement lists the charges that succeeded and the refunds that were made within a day. Charges
// and not balance transactions: those are in the currency that is paid out.
func (p *Provider) Statement(ctx context.Context, day time.Time, each func(payment.StatementRow) error) error {
	within := &stripe.RangeQueryParams{GreaterThanOrEqual: day.Unix(), LesserThan: day.AddDate(0, 0, 1).Unix()}
	list := stripe.ListParams{Limit: stripe.Int64(pageSize)}
	for c, err := range p.client.V1Charges.List(ctx, &stripe.ChargeListParams{ListParams: list, CreatedRange: within}) {
		if err != nil {
			return outcome("listing charges", err)
		}
		if c.Status != stripe.ChargeStatusSucceeded || c.PaymentIntent == nil {
			continue
		}
		// Stripe copies a PaymentIntent's metadata to its charges.
		id, _ := ours(c.Metadata, metadataPayment)
		if err := each(payment.StatementRow{
			Kind: payment.KindPayment, TransactionID: c.PaymentIntent.ID, PaymentID: id, Amount: c.AmountCaptured,
			Currency: strings.ToUpper(string(c.Currency)), At: time.Unix(c.Created, 0),
		}); err != nil {
			return err
		}
	}
	for r, err := range p.client.V1Refunds.List(ctx, &stripe.RefundListParams{ListParams: list, CreatedRange: within}) {
		if err != nil {
			return outcome("listing refunds", err)
		}
		if r.Status == stripe.RefundStatusFailed || r.Status == stripe.RefundStatusCanceled {
			continue
		}
		paymentID, _ := ours(r.Metadata, metadataPayment)
		refundID, _ := ours(r.Metadata, metadataRefund)
		if err := each(payment.StatementRow{
			Kind: payment.KindRefund, TransactionID: r.ID, PaymentID: paymentID, RefundID: refundID, Amount: r.Amount,
			Currency: strings.ToUpper(string(r.Currency)), At: time.Unix(r.Created, 0),
		}); err != nil {
			return err
		}
	}
	return nil
}
