package stripe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v82"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

// The names of our ids in an object's metadata.
const (
	metadataPayment = "payment_id"
	metadataOrder   = "order_id"
	metadataRefund  = "refund_id"
)

const (
	// repeatable is how long after a payment was begun the call that makes its PaymentIntent can be
	// repeated: Stripe keeps the answer for a day.
	repeatable = 23 * time.Hour
	// maxRepeats of one refund's refusals in a day.
	maxRepeats = 50
)

// create makes the PaymentIntent, or returns what the first call for this payment was answered. Its
// parameters depend on nothing but the payment: Stripe refuses the same key with others.
func (p *Provider) create(ctx context.Context, c payment.Charge) (*stripe.PaymentIntent, error) {
	params := &stripe.PaymentIntentCreateParams{
		Amount: stripe.Int64(c.Amount), Currency: stripe.String(strings.ToLower(c.Currency)),
		AutomaticPaymentMethods: &stripe.PaymentIntentCreateAutomaticPaymentMethodsParams{Enabled: stripe.Bool(true)},
		Metadata:                map[string]string{metadataPayment: c.PaymentID.String(), metadataOrder: c.OrderID.String()},
	}
	params.SetIdempotencyKey("payment-" + c.PaymentID.String())
	return p.client.V1PaymentIntents.Create(ctx, params)
}

// Create makes the PaymentIntent and answers what the app gives Stripe's SDK.
func (p *Provider) Create(ctx context.Context, c payment.Charge) (payment.Session, error) {
	switch {
	case !slices.Contains(p.currencies, c.Currency):
		return payment.Session{}, &payment.RefusedError{Reason: "CURRENCY_NOT_SUPPORTED"}
	case c.Method != intent:
		return payment.Session{}, &payment.RefusedError{Reason: "METHOD_UNKNOWN"}
	}
	pi, err := p.create(ctx, c)
	if err != nil {
		return payment.Session{}, outcome("creating a PaymentIntent", err)
	}
	params := map[string]string{"clientSecret": pi.ClientSecret, "publishableKey": p.publishableKey}
	return payment.Session{SDKParams: params, Reference: pi.ID}, nil
}

// find returns the payment's PaymentIntent; nil if Stripe has none. Where Create's answer was lost
// its id is not known here. Stripe's search is up to an hour behind, but the call that made it can
// be repeated for a day: it then answers the same, or makes one that nobody can pay, since its
// secret goes nowhere.
func (p *Provider) find(ctx context.Context, c payment.Charge) (*stripe.PaymentIntent, error) {
	if c.Reference != "" {
		return p.retrieve(ctx, c.Reference)
	}
	params := &stripe.PaymentIntentSearchParams{SearchParams: stripe.SearchParams{
		Query: fmt.Sprintf("metadata['%s']:'%s'", metadataPayment, c.PaymentID), Limit: stripe.Int64(1),
	}}
	for pi, err := range p.client.V1PaymentIntents.Search(ctx, params) {
		if err != nil {
			return nil, err
		}
		// The index is behind: what it found is asked for by itself.
		return p.retrieve(ctx, pi.ID)
	}
	if p.now().Sub(c.CreatedAt) > repeatable {
		return nil, nil
	}
	pi, err := p.create(ctx, c)
	if err != nil {
		return nil, err
	}
	return p.retrieve(ctx, pi.ID)
}

// retrieve reads a PaymentIntent with the charge that paid it.
func (p *Provider) retrieve(ctx context.Context, id string) (*stripe.PaymentIntent, error) {
	params := &stripe.PaymentIntentRetrieveParams{Expand: []*string{stripe.String("latest_charge")}}
	return p.client.V1PaymentIntents.Retrieve(ctx, id, params)
}

// Query asks for the payment.
func (p *Provider) Query(ctx context.Context, c payment.Charge) (payment.Status, error) {
	pi, err := p.find(ctx, c)
	if err != nil {
		return payment.Status{}, outcome("querying a PaymentIntent", err)
	}
	if pi == nil {
		return payment.Status{State: payment.StatusNotFound}, nil
	}
	out := payment.Status{State: payment.StatusPending}
	switch pi.Status {
	case stripe.PaymentIntentStatusSucceeded:
		out = payment.Status{
			State: payment.StatusSucceeded, TransactionID: pi.ID,
			Amount: pi.AmountReceived, Currency: strings.ToUpper(string(pi.Currency)),
		}
		if pi.LatestCharge != nil && pi.LatestCharge.Created > 0 {
			out.PaidAt = time.Unix(pi.LatestCharge.Created, 0)
		}
	case stripe.PaymentIntentStatusCanceled:
		out.State = payment.StatusClosed
	}
	return out, nil
}

// Close cancels the PaymentIntent, so that the buyer cannot pay it any more.
func (p *Provider) Close(ctx context.Context, c payment.Charge) error {
	pi, err := p.find(ctx, c)
	if err != nil {
		return outcome("looking for the PaymentIntent to cancel", err)
	}
	switch {
	case pi == nil, pi.Status == stripe.PaymentIntentStatusCanceled:
		return nil
	case pi.Status == stripe.PaymentIntentStatusSucceeded:
		return fmt.Errorf("stripe: canceling a PaymentIntent: %w", payment.ErrPaid)
	}
	params := &stripe.PaymentIntentCancelParams{
		CancellationReason: stripe.String(string(stripe.PaymentIntentCancellationReasonAbandoned)),
	}
	// Without a key of our own: Stripe would repeat a refusal for a day, and a second cancellation
	// does no harm.
	_, err = p.client.V1PaymentIntents.Cancel(ctx, pi.ID, params)
	if !is(err, stripe.ErrorCodePaymentIntentUnexpectedState) {
		return outcome("canceling a PaymentIntent", err)
	}
	// It was paid or canceled since, or is being paid.
	if pi, err = p.retrieve(ctx, pi.ID); err != nil {
		return outcome("querying a PaymentIntent", err)
	}
	switch pi.Status {
	case stripe.PaymentIntentStatusCanceled:
		return nil
	case stripe.PaymentIntentStatusSucceeded:
		return fmt.Errorf("stripe: canceling a PaymentIntent: %w", payment.ErrPaid)
	}
	return errors.New("stripe: canceling a PaymentIntent: it is being paid")
}

// Refund pays money back; the same refund id again is the same refund. Stripe keeps the answer to a
// key for a day: a repetition that comes later is found by its metadata first.
func (p *Provider) Refund(ctx context.Context, r payment.RefundOrder) (payment.RefundStatus, error) {
	if found, err := p.findRefund(ctx, r); err != nil || found != nil {
		return refundStatus(found, r, outcome("looking for a refund", err))
	}
	params := &stripe.RefundCreateParams{
		PaymentIntent: stripe.String(intentOf(r)), Amount: stripe.Int64(r.Amount),
		Metadata: map[string]string{metadataPayment: r.PaymentID.String(), metadataRefund: r.RefundID.String()},
	}
	var made *stripe.Refund
	var err error
	for n := 1; n <= maxRepeats; n++ {
		params.SetIdempotencyKey(fmt.Sprintf("refund-%s-%d", r.RefundID, n))
		if made, err = p.client.V1Refunds.Create(ctx, params); !repeated(err) {
			break
		}
		// Stripe keeps a refusal for a day as well. That one is over and had no effect, so that the
		// next key may ask anew.
	}
	return refundStatus(made, r, outcome("refunding", err))
}

// repeated tells whether Stripe has repeated a refusal that it gave before, to the same key.
func repeated(err error) bool {
	var told *stripe.Error
	if !errors.As(err, &told) || told.LastResponse == nil || told.HTTPStatusCode/100 != 4 {
		return false
	}
	return told.LastResponse.Header.Get("Idempotent-Replayed") == "true"
}

// QueryRefund looks for the refund among the payment's.
func (p *Provider) QueryRefund(ctx context.Context, r payment.RefundOrder) (payment.RefundStatus, error) {
	found, err := p.findRefund(ctx, r)
	if err == nil && found == nil {
		return payment.RefundStatus{State: payment.RefundNotFound}, nil
	}
	return refundStatus(found, r, outcome("querying a refund", err))
}

// intentOf is the PaymentIntent's id, which is also the id of its success.
func intentOf(r payment.RefundOrder) string {
	if r.TransactionID != "" {
		return r.TransactionID
	}
	return r.Reference
}

// findRefund returns the refund; nil if Stripe has none.
func (p *Provider) findRefund(ctx context.Context, r payment.RefundOrder) (*stripe.Refund, error) {
	params := &stripe.RefundListParams{
		PaymentIntent: stripe.String(intentOf(r)), ListParams: stripe.ListParams{Limit: stripe.Int64(pageSize)},
	}
	for one, err := range p.client.V1Refunds.List(ctx, params) {
		if err != nil {
			return nil, err
		}
		if id, ok := ours(one.Metadata, metadataRefund); ok && id == r.RefundID {
			return one, nil
		}
	}
	return nil, nil
}

func refundStatus(told *stripe.Refund, r payment.RefundOrder, err error) (payment.RefundStatus, error) {
	switch {
	case err != nil:
		return payment.RefundStatus{}, err
	case told.Amount != r.Amount || !strings.EqualFold(string(told.Currency), r.Currency):
		return payment.RefundStatus{}, errors.New("stripe: a refund: the answer is about another amount")
	}
	out := payment.RefundStatus{State: payment.RefundPending, ProviderRefundID: told.ID}
	switch told.Status {
	case stripe.RefundStatusSucceeded:
		out.State = payment.RefundSucceeded
	case stripe.RefundStatusFailed, stripe.RefundStatusCanceled:
		out.State, out.Reason = payment.RefundFailed, reasonOf(told)
	}
	return out, nil
}

// reasonOf a refund that failed.
func reasonOf(r *stripe.Refund) string {
	if r.FailureReason != "" {
		return string(r.FailureReason)
	}
	return string(r.Status)
}
