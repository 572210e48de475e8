// Package stripe pays through Stripe's PaymentIntents, with Stripe's Go library and the API version
// that it is pinned to. Amounts are in the currency's minor unit, as Stripe counts them.
//
// Settings (config.Payment.Settings):
//
//	publishableKey  the key that the app gives Stripe's SDK, pk_…
//	currencies      some of CNY,EUR,GBP,HKD,JPY,USD, joined by commas; all if not set
//	baseURL         https://api.stripe.com if not set
//
// Files in config.Payment.SecretDir:
//
//	secret_key      the API key, sk_… or rk_…
//	webhook_secret  the secret of the webhook endpoint, whsec_…, whose events are payment_intent.* and refund.*, in the
//	                library's API version
package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v82"

	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/bounded"
	"github.com/orderd-dev/orderd/orderd/shop/payment/internal/credentials"
)

const (
	// Name of the provider in the API.
	Name = "stripe"

	defaultBaseURL = "https://api.stripe.com"
	// intent is the one method: what it offers is set up at Stripe.
	intent = "payment_intent"
)

// Options of a Provider. All but Client have to be set.
type Options struct {
	// Settings and SecretDir as the package's comment says.
	Settings  map[string]string
	SecretDir string
	Clock     func() time.Time
	// Client makes the calls; one with time-outs if nil.
	Client *http.Client
}

// Provider is an account at Stripe.
type Provider struct {
	publishableKey string
	currencies     []string
	webhookSecret  string
	live           bool
	now            func() time.Time
	client         *stripe.Client
}

var _ payment.Provider = (*Provider)(nil)

// New reads the settings and the keys; the error names every field that is wrong. It calls nobody.
func New(o Options) (*Provider, error) {
	r := credentials.NewReader(o.Settings, o.SecretDir)
	p := &Provider{
		publishableKey: r.Setting("publishableKey"),
		currencies:     r.List("currencies", []string{"CNY", "EUR", "GBP", "HKD", "JPY", "USD"}),
		webhookSecret:  credentials.Parse(r, "webhook_secret", prefixed("whsec_")), now: o.Clock,
	}
	key := credentials.Parse(r, "secret_key", prefixed("sk_", "rk_"))
	base := r.URL("baseURL", defaultBaseURL)
	p.live = strings.HasPrefix(key, "sk_live_") || strings.HasPrefix(key, "rk_live_")
	if err := r.Err(); err != nil {
		return nil, err
	}
	client := o.Client
	if client == nil {
		client = bounded.NewClient()
	}
	// Retries are the caller's: a call under way must not outlive the caller's patience. The
	// library's own log may have what buyers sent.
	p.client = stripe.NewClient(key, stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL: stripe.String(base), HTTPClient: bounded.Limit(client, bounded.Timeout, bounded.MaxAnswer),
		MaxNetworkRetries: stripe.Int64(0), EnableTelemetry: stripe.Bool(false),
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})))
	return p, nil
}

func prefixed(prefixes ...string) func([]byte) (string, error) {
	return func(text []byte) (string, error) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(string(text), prefix) {
				return string(text), nil
			}
		}
		return "", errors.New("must begin with " + strings.Join(prefixes, " or "))
	}
}

// Name is stripe.
func (p *Provider) Name() string { return Name }

// Location is UTC.
func (p *Provider) Location() *time.Location { return time.UTC }

// Methods is the one that there is.
func (p *Provider) Methods() []payment.Method {
	return []payment.Method{{Name: intent, Title: "Card", Kind: payment.MethodSDK, Currencies: p.currencies}}
}

// outcome puts an error of the library into the classes of payment.Provider. Of Stripe's own words
// only the codes are kept: the rest may have the client secret and what buyers sent.
func outcome(doing string, err error) error {
	if err == nil {
		return nil
	}
	var told *stripe.Error
	if !errors.As(err, &told) {
		return fmt.Errorf("stripe: %s: %w", doing, err)
	}
	short := fmt.Errorf("stripe: %s: Stripe answered %d %s %s (request %s)",
		doing, told.HTTPStatusCode, told.Type, told.Code, told.RequestID)
	if final(told) {
		reason := string(told.Code)
		if reason == "" {
			reason = string(told.Type)
		}
		return &payment.RefusedError{Reason: reason, Err: short}
	}
	return short
}

// final tells whether the same call would be refused again.
func final(told *stripe.Error) bool {
	switch told.HTTPStatusCode {
	case http.StatusUnauthorized, http.StatusConflict, http.StatusTooManyRequests:
		// A wrong key, another call with the same key under way, too many calls: they pass.
		return false
	}
	switch told.Code {
	case stripe.ErrorCodeLockTimeout, stripe.ErrorCodeRateLimit:
		return false
	}
	switch told.Type {
	case stripe.ErrorTypeInvalidRequest, stripe.ErrorTypeCard, stripe.ErrorTypeIdempotency:
		return told.HTTPStatusCode/100 == 4
	}
	return false
}

// is tells whether Stripe refused with the code.
func is(err error, code stripe.ErrorCode) bool {
	var told *stripe.Error
	return errors.As(err, &told) && told.Code == code
}

// tolerance is how far the time of an event's signature may be from ours.
const tolerance = 5 * time.Minute
