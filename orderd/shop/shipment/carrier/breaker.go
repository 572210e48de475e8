package carrier

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/breaker"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
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

// Breaker is a carrier that is not asked for a while after it has failed several times in a row:
// callers then get [ErrUnavailable] at once and can answer with what is known.
type Breaker struct {
	Carrier

	breaker *breaker.Breaker
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
		Name: "orderd_carrier_calls_total", ConstLabels: labels,
		Help: "Calls to carriers, by operation and result (answered, failed, not_asked).",
	}, []string{"operation", "result"})}
	b.breaker = breaker.New(breaker.Options{
		Name:     "carrier " + o.Carrier.Name(),
		Failures: o.Failures,
		Pause:    o.Pause,
		Answered: answered,
		NotAsked: ErrUnavailable,
		Logger:   o.Logger,
	})
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "orderd_carrier_breaker_open",
		Help:        "1 while a carrier is not asked because it has failed.",
		ConstLabels: labels,
	}, func() float64 {
		if b.Open() {
			return 1
		}
		return 0
	})
	return b, metric.Register(o.Registerer, "carrier "+o.Carrier.Name(), b.results, open)
}

// Open tells whether the carrier is not asked now.
func (b *Breaker) Open() bool { return b.breaker.Open() }

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
	out, result, err := breaker.Do(b.breaker, call)
	b.results.WithLabelValues(operation, string(result)).Inc()
	return out, err
}

// answered tells whether the carrier itself said what there is to say.
func answered(err error) bool {
	var refused *RefusedError
	return err == nil || errors.As(err, &refused) || errors.Is(err, ErrCollected) || errors.Is(err, ErrUnknownShipment)
}
