package payment

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/breaker"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

const (
	// DefaultFailures in a row open a breaker.
	DefaultFailures = 10
	// DefaultPause is how long an open breaker lets nothing through; then one call tries.
	DefaultPause = 5 * time.Second
)

// errNotAsked says that a provider was not called because it has not answered for a while. The call
// has had no effect.
var errNotAsked = errors.New("the provider has not answered for a while and is not asked now")

// BreakerOptions of [Guard]. Logger has to be set.
type BreakerOptions struct {
	// Failures in a row that open a breaker; [DefaultFailures] if zero.
	Failures uint32
	// Pause until a call is tried again; [DefaultPause] if zero.
	Pause      time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Guard puts breakers before providers. A provider that has failed several times in a row is not
// asked for a while: buyers at the cashier have an answer at once, and the background work goes on
// with the other providers' payments instead of waiting for this one. Each operation has a breaker
// of its own, so that refunds that fail do not end the sales. A provider's refusal is an answer; a
// caller who goes away counts neither as an answer nor as a failure. An error is the registerer's.
func Guard(providers []Provider, o BreakerOptions) ([]Provider, error) {
	if o.Failures == 0 {
		o.Failures = DefaultFailures
	}
	if o.Pause <= 0 {
		o.Pause = DefaultPause
	}
	results := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "orderd_payment_provider_calls_total",
		Help: "Calls to payment providers, by provider, operation and result (answered, failed, not_asked).",
	}, []string{"provider", "operation", "result"})
	if err := metric.Register(o.Registerer, "payment providers", results); err != nil {
		return nil, err
	}
	out := make([]Provider, len(providers))
	for i, p := range providers {
		g := &guarded{Provider: p, breakers: map[string]*breaker.Breaker{}, results: results}
		for _, operation := range []string{opCreate, opQuery, opClose, opRefund, opQueryRefund} {
			g.breakers[operation] = breaker.New(breaker.Options{
				Name: "payment provider " + p.Name() + " " + operation, Failures: o.Failures, Pause: o.Pause,
				Answered: answered, NotAsked: errNotAsked, Logger: o.Logger,
			})
		}
		out[i] = g
	}
	return out, nil
}

const (
	opCreate      = "create"
	opQuery       = "query"
	opClose       = "close"
	opRefund      = "refund"
	opQueryRefund = "query_refund"
)

// guarded is a provider behind breakers.
type guarded struct {
	Provider
	breakers map[string]*breaker.Breaker
	results  *prometheus.CounterVec
}

// answered tells whether the provider itself said what there is to say.
func answered(err error) bool {
	var refused *RefusedError
	return err == nil || errors.As(err, &refused) || errors.Is(err, ErrPaid)
}

// guard makes a call of one operation unless its breaker is open, and counts it.
func guard[T any](g *guarded, operation string, call func() (T, error)) (T, error) {
	out, result, err := breaker.Do(g.breakers[operation], call)
	g.results.WithLabelValues(g.Name(), operation, string(result)).Inc()
	return out, err
}

// Create asks unless the breaker is open.
func (g *guarded) Create(ctx context.Context, c Charge) (Session, error) {
	return guard(g, opCreate, func() (Session, error) { return g.Provider.Create(ctx, c) })
}

// Query asks unless the breaker is open.
func (g *guarded) Query(ctx context.Context, c Charge) (Status, error) {
	return guard(g, opQuery, func() (Status, error) { return g.Provider.Query(ctx, c) })
}

// Close asks unless the breaker is open.
func (g *guarded) Close(ctx context.Context, c Charge) error {
	_, err := guard(g, opClose, func() (any, error) { return nil, g.Provider.Close(ctx, c) })
	return err
}

// Refund asks unless the breaker is open.
func (g *guarded) Refund(ctx context.Context, r RefundOrder) (RefundStatus, error) {
	return guard(g, opRefund, func() (RefundStatus, error) { return g.Provider.Refund(ctx, r) })
}

// QueryRefund asks unless the breaker is open.
func (g *guarded) QueryRefund(ctx context.Context, r RefundOrder) (RefundStatus, error) {
	return guard(g, opQueryRefund, func() (RefundStatus, error) { return g.Provider.QueryRefund(ctx, r) })
}
