package carrier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
)

const (
	// DefaultFailures in a row open a breaker.
	DefaultFailures = 5
	// DefaultPause is how long an open breaker lets nothing through; then one call tries.
	DefaultPause = 10 * time.Second
)

// BreakerOptions of a Breaker. Carrier and Logger have to be set.
type BreakerOptions struct {
	Carrier Carrier
	// Failures in a row that open it; DefaultFailures if zero.
	Failures uint32
	// Pause until a call is tried again; DefaultPause if zero.
	Pause      time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Breaker is a carrier that is not asked for a while after it has failed several times in a row: callers then get
// ErrUnavailable at once and can answer with what is known. What a carrier refuses is an answer, not a failure; a
// caller who goes away is neither.
type Breaker struct {
	Carrier
	calls   *gobreaker.CircuitBreaker[any]
	results *prometheus.CounterVec
}

// NewBreaker puts a breaker before a carrier. An error is the registerer's.
func NewBreaker(o BreakerOptions) (*Breaker, error) {
	if o.Failures == 0 {
		o.Failures = DefaultFailures
	}
	if o.Pause <= 0 {
		o.Pause = DefaultPause
	}
	labels := prometheus.Labels{"carrier": o.Carrier.Name()}
	b := &Breaker{Carrier: o.Carrier, results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "orderd_carrier_calls_total", Help: "Calls to carriers, by operation and result (answered, failed, not_asked).", ConstLabels: labels,
	}, []string{"operation", "result"})}
	b.calls = gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		Name: o.Carrier.Name(), MaxRequests: 1, Timeout: o.Pause,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= o.Failures },
		IsSuccessful: answered,
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(name string, from, to gobreaker.State) {
			o.Logger.Warn("carrier's breaker changed", "carrier", name, "from", from.String(), "to", to.String())
		},
	})
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_carrier_breaker_open", Help: "1 while a carrier is not asked because it has failed.", ConstLabels: labels,
	}, func() float64 {
		if b.Open() {
			return 1
		}
		return 0
	})
	if o.Registerer != nil {
		for _, c := range []prometheus.Collector{b.results, open} {
			if err := o.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("registering the metrics of carrier %s: %w", o.Carrier.Name(), err)
			}
		}
	}
	return b, nil
}

// Open tells whether the carrier is not asked now.
func (b *Breaker) Open() bool { return b.calls.State() == gobreaker.StateOpen }

// Request asks unless the breaker is open.
func (b *Breaker) Request(ctx context.Context, p Parcel) (string, error) {
	return guard(b, "request", func() (string, error) { return b.Carrier.Request(ctx, p) })
}

// Track asks unless the breaker is open.
func (b *Breaker) Track(ctx context.Context, shipmentID uuid.UUID) ([]Event, error) {
	return guard(b, "track", func() ([]Event, error) { return b.Carrier.Track(ctx, shipmentID) })
}

// Cancel asks unless the breaker is open.
func (b *Breaker) Cancel(ctx context.Context, shipmentID uuid.UUID) error {
	_, err := guard(b, "cancel", func() (any, error) { return nil, b.Carrier.Cancel(ctx, shipmentID) })
	return err
}

func guard[T any](b *Breaker, operation string, call func() (T, error)) (T, error) {
	var out T
	_, err := b.calls.Execute(func() (any, error) {
		var err error
		out, err = call()
		return nil, err
	})
	result := "failed"
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		result, err = "not_asked", ErrUnavailable
	case answered(err):
		result = "answered"
	}
	b.results.WithLabelValues(operation, result).Inc()
	return out, err
}

// answered tells whether the carrier itself said what there is to say.
func answered(err error) bool {
	var refused *Refused
	return err == nil || errors.As(err, &refused) || errors.Is(err, ErrCollected) || errors.Is(err, ErrUnknownShipment)
}
