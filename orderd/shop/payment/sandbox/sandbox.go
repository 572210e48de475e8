// Package sandbox is a payment provider without money: a buyer's POST to its page pays at once. It
// behaves like a real one where it matters: what it tells us comes later, over HTTP, signed, and
// again until it is taken.
package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

const (
	// Name of the provider in the API.
	Name = "sandbox"
	// PagePath is where the pay page is, under the base URL.
	PagePath = "/sandbox/pay"
	// minKeyBytes is the shortest key that is taken.
	minKeyBytes = 16
)

// Options of a [Sandbox]. All but Client have to be set.
type Options struct {
	// Key signs notifications and the pay page's tokens; at least 16 bytes.
	Key []byte
	// Merchant is who notifications are for: the OrderCluster's namespace and name.
	Merchant string
	// PublicURL is the OrderCluster's base URL as a buyer's app sees it.
	PublicURL string
	// NotifyURL is the OrderCluster's base URL as the provider sees it; notifications go to its path
	// /notifications/sandbox.
	NotifyURL string
	// Pool is where the sandbox remembers what was paid, closed and refunded.
	Pool  *pgxpool.Pool
	Clock func() time.Time
	// Client sends the notifications; one with bounded idle connections if nil.
	Client *http.Client
	Logger *slog.Logger
}

// Sandbox is the provider. What its page must know is in a token; what happened is in a table of
// its own.
type Sandbox struct {
	pool     *pgxpool.Pool
	key      []byte
	merchant string
	public   string
	now      func() time.Time
	page     *page
}

var (
	_ payment.Provider = (*Sandbox)(nil)
	_ payment.Pager    = (*Sandbox)(nil)
)

// New checks the options; the error names every field of config.Payment that is wrong.
func New(o Options) (*Sandbox, error) {
	if o.Pool == nil {
		return nil, errors.New("the sandbox needs a database")
	}
	var wrong config.FieldErrors
	wrong.Need(len(o.Key) >= minKeyBytes, "secretFile", fmt.Sprintf("must have at least %d bytes", minKeyBytes))
	wrong.Need(absolute(o.PublicURL), "publicURL", "must be an absolute URL")
	wrong.Need(absolute(o.NotifyURL), "notifyURL", "must be an absolute URL")
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	s := &Sandbox{
		pool: o.Pool, key: o.Key, merchant: o.Merchant, public: strings.TrimSuffix(o.PublicURL, "/"), now: o.Clock,
	}
	s.page = newPage(s, o)
	return s, nil
}

func absolute(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != ""
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
	token, err := s.seal(ticket{
		PaymentID: c.PaymentID, Amount: c.Amount, Currency: c.Currency, ExpiresAt: c.ExpiresAt.Unix(),
	})
	if err != nil {
		return payment.Session{}, err
	}
	page := s.public + PagePath + "?token=" + token
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

// mac signs for one purpose, so that a signature for another purpose is worth nothing here.
func (s *Sandbox) mac(purpose string, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(purpose))
	for _, p := range parts {
		m.Write([]byte{'.'})
		m.Write(p)
	}
	return m.Sum(nil)
}
