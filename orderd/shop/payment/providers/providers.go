// Package providers makes payment providers from the configuration: the one place that knows all of
// them.
package providers

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/alipay"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
	"github.com/orderd-dev/orderd/orderd/shop/payment/stripe"
	"github.com/orderd-dev/orderd/orderd/shop/payment/wechatpay"
)

// Deps are what the providers need beside their configuration. All but Client have to be set;
// Cluster, Pool and Logger only for the sandbox.
type Deps struct {
	// Cluster is the OrderCluster's namespace and name, the sandbox's merchant.
	Cluster string
	Pool    *pgxpool.Pool
	Clock   func() time.Time
	Random  io.Reader
	Logger  *slog.Logger
	// Client calls the providers; one with time-outs of its own for each if nil.
	Client *http.Client
}

// All makes the configured providers. The error, [config.FieldErrors], names every field that is
// wrong, as payments[i].field.
func All(configured []config.Payment, d Deps) ([]payment.Provider, error) {
	var out []payment.Provider
	var wrong config.FieldErrors
	seen := map[string]bool{}
	for i, c := range configured {
		part := fmt.Sprintf("payments[%d]", i)
		if seen[c.Provider] {
			wrong.Add(part+".provider", fmt.Errorf("%s is configured twice", c.Provider))
			continue
		}
		seen[c.Provider] = true
		p, err := New(c, d)
		if err != nil {
			wrong = append(wrong, config.Within(part, err)...)
			continue
		}
		out = append(out, p)
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	return out, nil
}

// New makes one provider. The error has a [config.FieldError] for every field of [config.Payment]
// that is wrong.
func New(c config.Payment, d Deps) (payment.Provider, error) {
	switch c.Provider {
	case sandbox.Name:
		return newSandbox(c, d)
	case wechatpay.Name:
		return provider(wechatpay.New(wechatpay.Options{
			Settings: c.Settings, SecretDir: c.SecretDir, NotifyURL: c.NotifyURL,
			Clock: d.Clock, Random: d.Random, Client: d.Client,
		}))
	case alipay.Name:
		return provider(alipay.New(alipay.Options{
			Settings: c.Settings, SecretDir: c.SecretDir, NotifyURL: c.NotifyURL, Clock: d.Clock, Client: d.Client,
		}))
	case stripe.Name:
		return provider(stripe.New(stripe.Options{
			Settings: c.Settings, SecretDir: c.SecretDir, Clock: d.Clock, Client: d.Client,
		}))
	}
	return nil, &config.FieldError{Path: "provider", Err: fmt.Errorf(
		"must be %s, %s, %s or %s", sandbox.Name, wechatpay.Name, alipay.Name, stripe.Name,
	)}
}

func newSandbox(c config.Payment, d Deps) (payment.Provider, error) {
	key, err := config.ReadSecret(c.SecretFile)
	if err != nil {
		return nil, &config.FieldError{Path: "secretFile", Err: err}
	}
	return provider(sandbox.New(sandbox.Options{
		Pool: d.Pool, Key: []byte(key), Merchant: d.Cluster, PublicURL: c.PublicURL, NotifyURL: c.NotifyURL,
		Clock: d.Clock, Client: d.Client, Logger: d.Logger,
	}))
}

// provider keeps a nil pointer from becoming a provider that is not nil.
func provider[P payment.Provider](p P, err error) (payment.Provider, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}
