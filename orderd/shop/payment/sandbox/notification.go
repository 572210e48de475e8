package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

const (
	// SignatureHeader is "t=<unix seconds>,v1=<hex HMAC-SHA256 of t, a dot and the body>".
	SignatureHeader = "Orderd-Sandbox-Signature"
	// Tolerance is how far a notification's time may be from ours.
	Tolerance = 5 * time.Minute

	maxTransactionIDBytes = 128

	statusSuccess = "SUCCESS"
	statusFailed  = "FAILED"
)

// body is the body of a notification. It is of a refund if it has a refund's id.
type body struct {
	TransactionID string    `json:"transaction_id"`
	PaymentID     uuid.UUID `json:"payment_id"`
	RefundID      uuid.UUID `json:"refund_id,omitzero"`
	Merchant      string    `json:"merchant"`
	Amount        int64     `json:"amount"`
	Currency      string    `json:"currency"`
	Status        string    `json:"status"`
}

// Sign makes a notification's signature header.
func (s *Sandbox) Sign(raw []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(s.mac("notification", []byte(t), raw))
}

// ParseNotification believes a notification that is signed with our key, not too old, and for our
// merchant.
func (s *Sandbox) ParseNotification(header http.Header, raw []byte, now time.Time) (payment.Notification, error) {
	stamp, mac, ok := parseSignature(header.Get(SignatureHeader))
	if !ok {
		return payment.Notification{}, &payment.NotificationError{Reason: "SIGNATURE_MISSING"}
	}
	if !hmac.Equal(mac, s.mac("notification", []byte(stamp), raw)) {
		return payment.Notification{}, &payment.NotificationError{Reason: "SIGNATURE_WRONG"}
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if age := now.Sub(time.Unix(seconds, 0)); err != nil || age > Tolerance || age < -Tolerance {
		return payment.Notification{}, &payment.NotificationError{Reason: "TOO_OLD"}
	}
	var b body
	if err := json.Unmarshal(raw, &b); err != nil {
		return payment.Notification{}, &payment.NotificationError{Reason: "MALFORMED"}
	}
	switch {
	case b.Merchant != s.merchant:
		return payment.Notification{}, &payment.NotificationError{Reason: payment.ReasonMerchantWrong}
	case b.TransactionID == "" || len(b.TransactionID) > maxTransactionIDBytes || b.PaymentID == uuid.Nil ||
		(b.Status != statusSuccess && b.Status != statusFailed):
		return payment.Notification{}, &payment.NotificationError{Reason: "MALFORMED"}
	}
	n := payment.Notification{
		Kind: payment.KindPayment, TransactionID: b.TransactionID, PaymentID: b.PaymentID, Amount: b.Amount,
		Currency: b.Currency, Success: b.Status == statusSuccess, Raw: raw,
	}
	if b.RefundID != uuid.Nil {
		n.Kind, n.RefundID = payment.KindRefund, b.RefundID
	}
	return n, nil
}

func parseSignature(header string) (stamp string, mac []byte, ok bool) {
	t, v1, found := strings.Cut(header, ",")
	stamp, isTime := strings.CutPrefix(t, "t=")
	text, isMAC := strings.CutPrefix(v1, "v1=")
	mac, err := hex.DecodeString(text)
	return stamp, mac, found && isTime && isMAC && err == nil && stamp != "" && len(mac) == sha256.Size
}

// Answer is a status without a body: 204 for a notification whose effect is committed, 400 for one
// that is not believed, 404 for one of no payment of ours, 503 for one to be sent again.
func (s *Sandbox) Answer(w http.ResponseWriter, err error) {
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
