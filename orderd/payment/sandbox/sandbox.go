// Package sandbox is a payment provider without money: a buyer's POST to its page pays at once. It
// behaves like a real one where it matters: what it tells us comes later, over HTTP, signed, and again
// until it is taken.
package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/payment"
)

const (
	// Name of the provider in the API.
	Name = "sandbox"
	// SignatureHeader is "t=<unix seconds>,v1=<hex HMAC-SHA256 of t, a dot and the body>".
	SignatureHeader = "Orderd-Sandbox-Signature"
	// Tolerance is how far a notification's time may be from ours.
	Tolerance = 5 * time.Minute
	// minKeyBytes is the shortest key that is taken.
	minKeyBytes = 16

	maxTransactionIDBytes = 128

	statusSuccess = "SUCCESS"
	statusFailed  = "FAILED"
)

// Options of a Sandbox. All have to be set.
type Options struct {
	// Key signs notifications and the pay page's tokens; at least 16 bytes.
	Key []byte
	// Merchant is who notifications are for: the OrderCluster's namespace and name.
	Merchant string
	// PublicURL is the OrderCluster's base URL as a buyer's app sees it.
	PublicURL string
	// Pool is where the sandbox remembers what was paid, closed and refunded.
	Pool  *pgxpool.Pool
	Clock func() time.Time
}

// Sandbox is the provider. What its page must know is in a token; what happened is in a table of its own.
type Sandbox struct {
	pool     *pgxpool.Pool
	key      []byte
	merchant string
	public   string
	now      func() time.Time
}

var _ payment.Provider = (*Sandbox)(nil)

// New checks the options.
func New(o Options) (*Sandbox, error) {
	if len(o.Key) < minKeyBytes {
		return nil, fmt.Errorf("sandbox: the key has %d bytes, want at least %d", len(o.Key), minKeyBytes)
	}
	if u, err := url.Parse(o.PublicURL); err != nil || u.Host == "" {
		return nil, errors.New("sandbox: publicURL is not an absolute URL")
	}
	if o.Pool == nil {
		return nil, errors.New("sandbox: there is no database")
	}
	return &Sandbox{pool: o.Pool, key: o.Key, merchant: o.Merchant, public: strings.TrimSuffix(o.PublicURL, "/"), now: o.Clock}, nil
}

// Name is sandbox.
func (s *Sandbox) Name() string { return Name }

// The methods: one of each kind, all with the same page behind them.
const (
	methodPage = "page"
	methodQR   = "qr"
	methodSDK  = "sdk"
)

// SDKPayURL is the key of the pay page's URL in the parameters of the method sdk.
const SDKPayURL = "pay_url"

// Methods are one of each kind, for every currency.
func (s *Sandbox) Methods() []payment.Method {
	return []payment.Method{
		{Name: methodPage, Title: "Sandbox", Kind: payment.MethodRedirect},
		{Name: methodQR, Title: "Sandbox QR code", Kind: payment.MethodQR},
		{Name: methodSDK, Title: "Sandbox in the app", Kind: payment.MethodSDK},
	}
}

// Create answers with the pay page's URL; the same for the same charge.
func (s *Sandbox) Create(_ context.Context, c payment.Charge) (payment.Session, error) {
	token, err := s.seal(ticket{PaymentID: c.PaymentID, Amount: c.Amount, Currency: c.Currency, ExpiresAt: c.ExpiresAt.Unix()})
	if err != nil {
		return payment.Session{}, err
	}
	page := s.public + "/sandbox/pay?token=" + token
	switch c.Method {
	case methodPage, "":
		return payment.Session{RedirectURL: page}, nil
	case methodQR:
		return payment.Session{QRCode: page}, nil
	case methodSDK:
		return payment.Session{SDKParams: map[string]string{SDKPayURL: page}}, nil
	}
	return payment.Session{}, &payment.RefusedError{Reason: "METHOD_UNKNOWN"}
}

// ticket is what the pay page must know.
type ticket struct {
	PaymentID uuid.UUID `json:"p"`
	Amount    int64     `json:"a"`
	Currency  string    `json:"c"`
	// ExpiresAt in Unix seconds.
	ExpiresAt int64 `json:"e"`
}

func (s *Sandbox) seal(t ticket) (string, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("sandbox: sealing a token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw) + "." + base64.RawURLEncoding.EncodeToString(s.mac("token", raw)), nil
}

var errToken = errors.New("the token is not one of ours")

func (s *Sandbox) open(token string) (ticket, error) {
	head, tail, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return ticket{}, errToken
	}
	mac, err := base64.RawURLEncoding.DecodeString(tail)
	if err != nil || !hmac.Equal(mac, s.mac("token", raw)) {
		return ticket{}, errToken
	}
	var t ticket
	if err := json.Unmarshal(raw, &t); err != nil {
		return ticket{}, errToken
	}
	return t, nil
}

// mac signs for one purpose, so that nothing signed for another can be passed off as it.
func (s *Sandbox) mac(purpose string, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(purpose))
	for _, p := range parts {
		m.Write([]byte{'.'})
		m.Write(p)
	}
	return m.Sum(nil)
}

// body is a notification's. One with a refund id is of a refund.
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

// ParseNotification believes what is signed with our key, not too old, and for our merchant.
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
		Kind: payment.KindPayment, TransactionID: b.TransactionID, PaymentID: b.PaymentID, Amount: b.Amount, Currency: b.Currency,
		Success: b.Status == statusSuccess, Raw: raw,
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

// Answer is a status without a body: 204 for a notification that was taken, 400 for one that is not
// believed, 503 for one to be sent again.
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
