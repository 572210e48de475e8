// Package consume runs consumers of the stream ORDER_EVENTS: work that follows from what happened to
// orders. An event is delivered to a consumer at least once, and has its effect exactly once.
//
// What holds:
//   - Each consumer has a durable of its own, which the workers of all pods share. One that is slow
//     or fails delays no other.
//   - An Effect runs in the transaction that also writes the event's inbox key. A Delivery
//     runs outside; its key is written after it, so after a crash in between it runs again,
//     with the same Event.ID.
//   - Events of different orders run at the same time and in any sequence. Those of one order run
//     one after the other within a pod, in the stream's sequence unless one has to be tried again.
//     With Ordered, over all pods, crashes and retries: an event runs only once every earlier event
//     of its order that the consumer reads is done or a dead letter. A dead letter that is replayed
//     runs when it is replayed.
//   - A failed event is put back, with a delay that grows and has jitter, and others go on. After
//     MaxAttempts failures, or one that is Permanent, it becomes a dead letter.
//   - An outage is no failure of an event: database errors other than final ones, and Later errors,
//     are not counted, until the event is giveUpAfter old.
package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

const (
	// DefaultMaxAttempts with the default Backoff is about 20 minutes.
	DefaultMaxAttempts = 10
	// defaultWorkers of an Effect hold a database connection each at most; a Delivery's mostly wait.
	defaultWorkers         = 4
	defaultDeliveryWorkers = 16
	// defaultBatch is how many events one transaction has, and defaultDeliveryBatch how many
	// deliveries may be repeated after a crash, a worker.
	defaultBatch         = 64
	defaultDeliveryBatch = 16
	maxWorkers           = 256
	maxBatch             = 1024
	defaultAckWait       = 30 * time.Second
	defaultEffectTimeout = 10 * time.Second
	defaultFirstBackoff  = time.Second
	defaultMaxBackoff    = 5 * time.Minute
)

// Event is one event of ORDER_EVENTS.
type Event struct {
	// ID is the same however often the event is published or delivered: the order's id and version.
	ID string
	// Type is the full name of the message, such as orderd.order.v1.OrderPaid.
	Type string
	// Source is the OrderCluster; Subject is the order's id as text.
	Source, Subject string
	// Time of the change.
	Time    time.Time
	OrderID uuid.UUID
	// Message is of the type that Type names.
	Message proto.Message
}

// Effect is what an event leads to in the database. The event's inbox key is written in the same
// transaction. It may run several times, has no effect but on the transaction, and calls no third
// party. Events of several orders share a transaction, sorted by order id.
type Effect func(ctx context.Context, tx *database.Tx, e Event) error

// BatchEffect is an Effect of several events at once, sorted by order id and then as they happened.
// If it fails, it is called for fewer events, until the one that fails is alone.
type BatchEffect func(ctx context.Context, tx *database.Tx, events []Event) error

// Delivery hands an event to somebody else, who recognises a repetition by the event's id.
type Delivery func(ctx context.Context, e Event) error

// Options of a Consumer. Exactly one of Effect, BatchEffect and Delivery is set; MaxAttempts,
// Backoff, Workers, Batch, AckWait, EffectTimeout, Since and Registerer may be left out.
type Options struct {
	// Name of the consumer, its durable and its metrics: lower-case letters, digits and -.
	Name      string
	JetStream jetstream.JetStream
	// Replicas of the streams.
	Replicas int
	Pool     *pgxpool.Pool
	// Types are the full names of the messages to read; others are not delivered, or ignored.
	Types       []string
	Effect      Effect
	BatchEffect BatchEffect
	Delivery    Delivery
	// Ordered keeps an order's events in sequence over all pods and retries. It costs a look
	// into the stream an event while events are under way; a consumer that reads one event an
	// order has no use for it.
	Ordered bool
	// Since is how old events may be with which a durable that is made now begins; zero: all
	// that the stream has.
	Since time.Duration
	// MaxAttempts is after how many failures an event becomes a dead letter.
	MaxAttempts int
	// Backoff is the delay after a failure, before jitter.
	Backoff backoff.Policy
	// Workers run at the same time in this pod. An order is always one worker's.
	Workers int
	// Batch is how many events a worker takes at once, at most.
	Batch int
	// AckWait is how long after a pod's death its events go to others. A living pod keeps them
	// as long as it takes.
	AckWait time.Duration
	// EffectTimeout bounds one transaction. A single event whose effect takes longer has failed.
	EffectTimeout time.Duration
	Clock         func() time.Time
	// Random spreads retries.
	Random     *rand.Rand
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func (o Options) validate() error {
	effects := 0
	for _, set := range []bool{o.Effect != nil, o.BatchEffect != nil, o.Delivery != nil} {
		if set {
			effects++
		}
	}
	switch {
	case !validName.MatchString(o.Name):
		return fmt.Errorf("consumer name %q: must be up to 32 lower-case letters, digits and -", o.Name)
	case effects != 1:
		return fmt.Errorf("consumer %s: needs exactly one of Effect, BatchEffect and Delivery", o.Name)
	case len(o.Types) == 0:
		return fmt.Errorf("consumer %s: needs types of events", o.Name)
	case o.Workers < 0 || o.Workers > maxWorkers:
		return fmt.Errorf("consumer %s: workers must be 1 to %d", o.Name, maxWorkers)
	case o.Batch < 0 || o.Batch > maxBatch:
		return fmt.Errorf("consumer %s: batch must be 1 to %d", o.Name, maxBatch)
	}
	return nil
}

func (o Options) withDefaults() Options {
	workers, batch := defaultWorkers, defaultBatch
	if o.Delivery != nil {
		workers, batch = defaultDeliveryWorkers, defaultDeliveryBatch
	}
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&o.Workers, workers)
	set(&o.Batch, batch)
	set(&o.MaxAttempts, DefaultMaxAttempts)
	if o.Backoff.First <= 0 {
		o.Backoff.First = defaultFirstBackoff
	}
	if o.Backoff.Max <= 0 {
		o.Backoff.Max = defaultMaxBackoff
	}
	if o.AckWait <= 0 {
		o.AckWait = defaultAckWait
	}
	if o.EffectTimeout <= 0 {
		o.EffectTimeout = defaultEffectTimeout
	}
	if o.Effect != nil {
		each := o.Effect
		o.BatchEffect = func(ctx context.Context, tx *database.Tx, events []Event) error {
			for _, e := range events {
				if err := each(ctx, tx, e); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return o
}

type permanentError struct{ cause error }

func (e *permanentError) Error() string { return e.cause.Error() }
func (e *permanentError) Unwrap() error { return e.cause }

// Permanent says that trying again does not help: the event becomes a dead letter at once.
func Permanent(err error) error { return &permanentError{cause: err} }

type laterError struct {
	cause error
	after time.Duration
}

func (e *laterError) Error() string { return e.cause.Error() }
func (e *laterError) Unwrap() error { return e.cause }

// Later says that the cause is not the event's, as when a service that the consumer needs
// is away: the worker pauses, at least for the time given, and the event is tried again
// without being counted.
func Later(err error, after time.Duration) error { return &laterError{cause: err, after: after} }

// IsPermanent tells whether an error is, or wraps, one of Permanent's.
func IsPermanent(err error) bool {
	var permanent *permanentError
	return errors.As(err, &permanent)
}

// IsLater tells whether an error is, or wraps, one of Later's.
func IsLater(err error) bool {
	var later *laterError
	return errors.As(err, &later)
}
