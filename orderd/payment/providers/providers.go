// Package providers makes payment providers from the configuration: the one place that knows all of them.
package providers

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/config"
	"github.com/orderd-dev/orderd/orderd/payment"
	"github.com/orderd-dev/orderd/orderd/payment/alipay"
	"github.com/orderd-dev/orderd/orderd/payment/sandbox"
	"github.com/orderd-dev/orderd/orderd/payment/stripe"
	"github.com/orderd-dev/orderd/orderd/payment/wechatpay"
)

// Deps are what the providers need beside their configuration. All but Client have to be set; Pool only for the sandbox.
type Deps struct {
	// Cluster is the OrderCluster's namespace and name, the sandbox's merchant.
	Cluster string
	Pool    *pgxpool.Pool
	Clock   func() time.Time
	Random  io.Reader
	// Client calls the providers; one with time-outs of its own for each if nil.
	Client *http.Client
}

// All makes the configured providers. The error names every field that is wrong, as payments[i].field.
func All(configured []config.Payment, d Deps) ([]payment.Provider, error) {
	var out []payment.Provider
	var errs []error
	seen := map[string]bool{}
	for i, c := range configured {
		field := fmt.Sprintf("payments[%d]", i)
		if seen[c.Provider] {
			errs = append(errs, fmt.Errorf("%s.provider: %s is configured twice", field, c.Provider))
			continue
		}
		seen[c.Provider] = true
		p, err := New(c, d)
		if err != nil {
			errs = append(errs, prefix(field, err))
			continue
		}
		out = append(out, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

// prefix puts the entry before each field that an error names.
func prefix(entry string, err error) error {
	var all []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		all = append(all, fmt.Errorf("%s.%s", entry, line))
	}
	return errors.Join(all...)
}

// New makes one provider. The error has a line for every field that is wrong, which begins with the field's name in
// config.Payment.
func New(c config.Payment, d Deps) (payment.Provider, error) {
	switch c.Provider {
	case sandbox.Name:
		return newSandbox(c, d)
	case wechatpay.Name:
		return provider(wechatpay.New(wechatpay.Options{
			Settings: c.Settings, SecretDir: c.SecretDir, NotifyURL: c.NotifyURL, Clock: d.Clock, Random: d.Random, Client: d.Client,
		}))
	case alipay.Name:
		return provider(alipay.New(alipay.Options{Settings: c.Settings, SecretDir: c.SecretDir, NotifyURL: c.NotifyURL, Clock: d.Clock, Client: d.Client}))
	case stripe.Name:
		return provider(stripe.New(stripe.Options{Settings: c.Settings, SecretDir: c.SecretDir, Clock: d.Clock, Client: d.Client}))
	}
	return nil, fmt.Errorf("provider: must be %s, %s, %s or %s", sandbox.Name, wechatpay.Name, alipay.Name, stripe.Name)
}

func newSandbox(c config.Payment, d Deps) (payment.Provider, error) {
	key, err := config.ReadSecret(c.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("secretFile: %w", err)
	}
	return provider(sandbox.New(sandbox.Options{Pool: d.Pool, Key: []byte(key), Merchant: d.Cluster, PublicURL: c.PublicURL, Clock: d.Clock}))
}

// provider keeps a nil pointer from becoming a provider that is not nil.
func provider[P payment.Provider](p P, err error) (payment.Provider, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}
