package wechatpay

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/number"
)

const (
	resourceTransaction = "transaction"
	resourceRefund      = "refund"

	maxIDBytes = 64
)

// envelope is a notification's body.
type envelope struct {
	EventType    string `json:"event_type"`
	ResourceType string `json:"resource_type"`
	Resource     struct {
		sealed
		OriginalType string `json:"original_type"`
	} `json:"resource"`
}

// ParseNotification verifies a notification's signature and age, decrypts it and checks whose it
// is. It may have to download a platform certificate, which it waits five seconds for.
func (p *Provider) ParseNotification(header http.Header, raw []byte, now time.Time) (payment.Notification, error) {
	m, err := markOf(header, now)
	if err != nil {
		return payment.Notification{}, &payment.NotificationError{Reason: err.Error()}
	}
	switch err := p.keys.verify(context.Background(), m, raw); {
	case errors.Is(err, errSignature), errors.Is(err, errKey):
		return payment.Notification{}, &payment.NotificationError{Reason: err.Error()}
	case err != nil:
		return payment.Notification{}, err
	}
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil || e.ResourceType != "encrypt-resource" {
		return payment.Notification{}, malformed()
	}
	plain, err := unseal(p.apiV3Key, e.Resource.sealed)
	if err != nil {
		return payment.Notification{}, &payment.NotificationError{Reason: "CANNOT_DECRYPT"}
	}
	switch e.Resource.OriginalType {
	case resourceTransaction:
		return p.paymentNotification(raw, plain)
	case resourceRefund:
		return p.refundNotification(raw, plain)
	}
	return payment.Notification{}, malformed()
}

func malformed() error { return &payment.NotificationError{Reason: "MALFORMED"} }

func (p *Provider) paymentNotification(raw, plain []byte) (payment.Notification, error) {
	var t transaction
	if err := json.Unmarshal(plain, &t); err != nil {
		return payment.Notification{}, malformed()
	}
	if t.MerchantID != p.merchantID || t.AppID != p.appID {
		return payment.Notification{}, &payment.NotificationError{Reason: payment.ReasonMerchantWrong}
	}
	id, err := number.Parse(t.Number)
	if err != nil || t.TransactionID == "" || len(t.TransactionID) > maxIDBytes {
		return payment.Notification{}, malformed()
	}
	n := payment.Notification{
		Kind: payment.KindPayment, TransactionID: t.TransactionID, PaymentID: id,
		Amount: t.Amount.Total, Currency: t.Amount.Currency, PaidAt: t.SuccessTime, Raw: raw,
	}
	switch t.State {
	case "SUCCESS", "REFUND":
		n.Success = true
	case "CLOSED", "REVOKED", "PAYERROR":
		n.Reason = t.State
	default:
		n.Ignore = true
	}
	return n, nil
}

func (p *Provider) refundNotification(raw, plain []byte) (payment.Notification, error) {
	var r refund
	if err := json.Unmarshal(plain, &r); err != nil {
		return payment.Notification{}, malformed()
	}
	if r.MerchantID != p.merchantID {
		return payment.Notification{}, &payment.NotificationError{Reason: payment.ReasonMerchantWrong}
	}
	paymentID, err := number.Parse(r.Number)
	refundID, refundErr := number.Parse(r.RefundNumber)
	if err != nil || refundErr != nil || r.RefundID == "" || len(r.RefundID) > maxIDBytes {
		return payment.Notification{}, malformed()
	}
	n := payment.Notification{
		Kind: payment.KindRefund, TransactionID: r.RefundID, PaymentID: paymentID, RefundID: refundID,
		// A notification of a domestic refund names no currency: it is in the payment's, which can
		// only be this.
		Amount: r.Amount.Refund, Currency: currency, PaidAt: r.SuccessTime, Raw: raw,
	}
	switch r.NotifiedStatus {
	case "SUCCESS":
		n.Success = true
	case "CLOSED":
		n.Reason = r.NotifiedStatus
	default:
		// PROCESSING, or ABNORMAL, which the merchant ends in WeChat Pay's own desk.
		n.Ignore = true
	}
	return n, nil
}

// Answer is 204 for a notification that was taken, and what WeChat Pay reads as a wish to be told
// again otherwise.
func (p *Provider) Answer(w http.ResponseWriter, err error) {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	status, text := http.StatusServiceUnavailable, "try again"
	var refused *payment.NotificationError
	switch {
	case errors.As(err, &refused):
		status, text = http.StatusBadRequest, refused.Reason
	case errors.Is(err, payment.ErrUnknownPayment):
		status, text = http.StatusNotFound, "no such payment"
	}
	body, marshalErr := json.Marshal(map[string]string{"code": "FAIL", "message": text})
	if marshalErr != nil {
		body = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
