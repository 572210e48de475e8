// Package breaker stands before something outside that may stop answering, such as a payment
// provider or a carrier. After several failures in a row it is not asked for a while, so that
// callers have an answer at once and background work goes on with what still answers.
package breaker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Result is what became of a call, as metrics label it.
type Result string

// The results of a call.
const (
	// Answered: the other side said what there is to say, even if it refused.
	Answered Result = "answered"
	// Failed: no answer came, or one that says that the other side does not work.
	Failed Result = "failed"
	// NotAsked: the breaker is open, and the call was not made. It has had no effect.
	NotAsked Result = "not_asked"
)

// Options of a [Breaker]. Name, Failures, Pause, Answered, NotAsked and Logger have to be set.
type Options struct {
	// Name of what stands behind the breaker, for the log.
	Name string
	// Failures in a row that open the breaker.
	Failures uint32
	// Pause is how long an open breaker lets nothing through; then one call tries.
	Pause time.Duration
	// Answered tells whether an error is an answer of the other side rather than its failure. It is
	// asked about nil as well.
	Answered func(error) bool
	// NotAsked is the error of calls that are not made.
	NotAsked error
	// Logger is told when the breaker opens and closes.
	Logger *slog.Logger
}

// Breaker guards calls to one thing. A caller who goes away counts neither as an
// answer nor as a failure.
type Breaker struct {
	circuit  *gobreaker.CircuitBreaker[any]
	answered func(error) bool
	notAsked error
}

// New makes a closed breaker.
func New(o Options) *Breaker {
	return &Breaker{
		answered: o.Answered, notAsked: o.NotAsked,
		circuit: gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
			Name: o.Name, MaxRequests: 1, Timeout: o.Pause,
			ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= o.Failures },
			IsSuccessful: o.Answered,
			IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
			OnStateChange: func(name string, from, to gobreaker.State) {
				o.Logger.Warn("a breaker changed", "breaker", name, "from", from.String(), "to", to.String())
			},
		}),
	}
}

// Open tells whether nothing is asked now.
func (b *Breaker) Open() bool { return b.circuit.State() == gobreaker.StateOpen }

// Closed tells whether everything is asked. A breaker that is neither closed nor open lets one
// call through to try.
func (b *Breaker) Closed() bool { return b.circuit.State() == gobreaker.StateClosed }

// Do makes the call unless the breaker is open; then the error is the breaker's NotAsked.
func Do[T any](b *Breaker, call func() (T, error)) (T, Result, error) {
	var out T
	_, err := b.circuit.Execute(func() (any, error) {
		var err error
		out, err = call()
		return nil, err
	})
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return out, NotAsked, b.notAsked
	case b.answered(err):
		return out, Answered, err
	}
	return out, Failed, err
}
