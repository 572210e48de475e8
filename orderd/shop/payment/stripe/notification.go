package stripe

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v82"
	"github.com/stripe/stripe-go/v82/webhook"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

const (
	signatureHeader = "Stripe-Signature"
	maxIDBytes      = 255
)

// ParseNotification verifies an event's signature and age, its API version and whether it is of the
// account's mode. Events that change nothing here are to be ignored.
func (p *Provider) ParseNotification(header http.Header, raw []byte, now time.Time) (payment.Notification, error) {
	signature := header.Get(signatureHeader)
	// The library compares with its own clock, so that it is told not to.
	options := webhook.ConstructEventOptions{IgnoreTolerance: true}
	event, err := webhook.ConstructEventWithOptions(raw, signature, p.webhookSecret, options)
	switch {
	case errors.Is(err, webhook.ErrNotSigned), errors.Is(err, webhook.ErrInvalidHeader):
		return payment.Notification{}, refuse("SIGNATURE_MISSING")
	case errors.Is(err, webhook.ErrNoValidSignature):
		return payment.Notification{}, refuse("SIGNATURE_WRONG")
	case err != nil:
		return payment.Notification{}, refuse("MALFORMED")
	}
	if age := now.Sub(signedAt(signature)); age > tolerance || age < -tolerance {
		return payment.Notification{}, refuse("TOO_OLD")
	}
	if event.Livemode != p.live || event.Account != "" {
		return payment.Notification{}, refuse(payment.ReasonMerchantWrong)
	}
	if event.Data == nil {
		return payment.Notification{}, refuse("MALFORMED")
	}
	switch event.Type {
	case stripe.EventTypePaymentIntentSucceeded, stripe.EventTypePaymentIntentCanceled:
		return paymentNotification(event, raw)
	case stripe.EventTypeRefundCreated, stripe.EventTypeRefundUpdated, stripe.EventTypeRefundFailed:
		return refundNotification(event, raw)
	}
	return payment.Notification{Ignore: true, TransactionID: event.ID, Raw: raw}, nil
}

func refuse(reason string) error { return &payment.NotificationError{Reason: reason} }

// signedAt is the time in a header that the library has verified; it takes the last of several, and
// so does this.
func signedAt(header string) time.Time {
	var at time.Time
	for part := range strings.SplitSeq(header, ",") {
		if text, ok := strings.CutPrefix(part, "t="); ok {
			seconds, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return time.Time{}
			}
			at = time.Unix(seconds, 0)
		}
	}
	return at
}

func paymentNotification(event stripe.Event, raw []byte) (payment.Notification, error) {
	var pi stripe.PaymentIntent
	if err := json.Unmarshal(event.Data.Raw, &pi); err != nil || pi.ID == "" || len(pi.ID) > maxIDBytes {
		return payment.Notification{}, refuse("MALFORMED")
	}
	id, ok := ours(pi.Metadata, metadataPayment)
	if !ok {
		// The account is used for more than these orders.
		return payment.Notification{Ignore: true, TransactionID: pi.ID, Raw: raw}, nil
	}
	n := payment.Notification{
		Kind: payment.KindPayment, TransactionID: pi.ID, PaymentID: id,
		Amount: pi.Amount, Currency: strings.ToUpper(string(pi.Currency)), Raw: raw,
		Success: event.Type == stripe.EventTypePaymentIntentSucceeded && pi.Status == stripe.PaymentIntentStatusSucceeded,
	}
	if n.Success {
		n.Amount, n.PaidAt = pi.AmountReceived, time.Unix(event.Created, 0)
	} else {
		n.Reason = string(pi.Status)
	}
	return n, nil
}

func refundNotification(event stripe.Event, raw []byte) (payment.Notification, error) {
	var r stripe.Refund
	if err := json.Unmarshal(event.Data.Raw, &r); err != nil || r.ID == "" || len(r.ID) > maxIDBytes {
		return payment.Notification{}, refuse("MALFORMED")
	}
	id, ok := ours(r.Metadata, metadataRefund)
	paymentID, paymentOK := ours(r.Metadata, metadataPayment)
	if !ok || !paymentOK || r.Status == stripe.RefundStatusPending || r.Status == stripe.RefundStatusRequiresAction {
		// Somebody paid back at Stripe's own desk, which the reconciliation reports; or it is not
		// decided yet.
		return payment.Notification{Kind: payment.KindRefund, Ignore: true, TransactionID: r.ID, Raw: raw}, nil
	}
	n := payment.Notification{
		Kind: payment.KindRefund, TransactionID: r.ID, PaymentID: paymentID, RefundID: id,
		Amount: r.Amount, Currency: strings.ToUpper(string(r.Currency)),
		Success: r.Status == stripe.RefundStatusSucceeded, Raw: raw,
	}
	if n.Success {
		n.PaidAt = time.Unix(event.Created, 0)
	} else {
		n.Reason = reasonOf(&r)
	}
	return n, nil
}

// ours reads an id of ours in an object's metadata.
func ours(metadata map[string]string, name string) (uuid.UUID, bool) {
	text := metadata[name]
	id, err := uuid.Parse(text)
	return id, err == nil && id.String() == text && id != uuid.Nil
}

// Answer is a status: 2xx ends an event, anything else has it sent again.
func (p *Provider) Answer(w http.ResponseWriter, err error) {
	var refused *payment.NotificationError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.As(err, &refused):
		w.WriteHeader(http.StatusBadRequest)
	case errors.Is(err, payment.ErrUnknownPayment):
		w.WriteHeader(http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}
