package outbox

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
)

const (
	// relayBatch is how many events one visit to a bucket publishes.
	relayBatch    = 256
	ensureTimeout = 5 * time.Second
	lagInterval   = 5 * time.Second
	// maxLag is where counting unpublished events stops.
	maxLag = 100_000
)

// RelayOptions of a Relay. Interval, TTL and Registerer may be left out.
type RelayOptions struct {
	Pool      *pgxpool.Pool
	JetStream jetstream.JetStream
	// Replicas of the stream.
	Replicas int
	// Source is the events' CloudEvents source: the OrderCluster's namespace and name.
	Source string
	// Worker names this process among the live relays: the pod's name.
	Worker        string
	Interval, TTL time.Duration
	Clock         func() time.Time
	Logger        *slog.Logger
	Registerer    prometheus.Registerer
}

// Relay publishes outbox rows and deletes them once JetStream has acknowledged them. Dying in between
// publishes them again under the same Nats-Msg-Id, which JetStream drops.
type Relay struct {
	pool     *pgxpool.Pool
	js       jetstream.JetStream
	replicas int
	source   string
	now      func() time.Time
	loop     *lease.Loop
	log      *slog.Logger
	metrics  *metrics

	mu sync.Mutex
	// after is where the next visit to a bucket goes on while it has more rows than one visit takes.
	after map[int64]position
}

// position is a row's place in its bucket.
type position struct {
	orderID uuid.UUID
	version int64
}

// row is an event that is not published yet.
type row struct {
	OrderID     uuid.UUID
	Version     int64
	Event, Type string
	Payload     []byte
	CreatedAt   time.Time
}

// id is the event's id, the same however often it is published.
func (r *row) id() string { return r.OrderID.String() + "." + strconv.FormatInt(r.Version, 10) }

// NewRelay makes a relay; Run starts it.
func NewRelay(o RelayOptions) (*Relay, error) {
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	r := &Relay{
		pool: o.Pool, js: o.JetStream, replicas: o.Replicas, source: o.Source, now: o.Clock, log: o.Logger,
		metrics: m, after: map[int64]position{},
	}
	r.loop, err = lease.NewLoop(lease.Options{
		Pool: o.Pool, Kind: "outbox", Worker: o.Worker, Work: r.work, Interval: o.Interval, TTL: o.TTL,
		Clock: o.Clock, Logger: o.Logger, Registerer: o.Registerer,
	})
	return r, err
}

// Run publishes until ctx ends and returns nil. It makes the stream if there is none.
func (r *Relay) Run(ctx context.Context) error {
	if err := r.ensure(ctx); err != nil {
		r.log.Warn("the stream is made when the first event is published", "error", err)
	}
	var g errgroup.Group
	g.Go(func() error { r.watchLag(ctx); return nil })
	g.Go(func() error { return r.loop.Run(ctx) })
	return g.Wait()
}

func (r *Relay) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	broken, err := EnsureStream(ctx, r.js, r.replicas)
	messaging.Tell(r.log, broken)
	return err
}

// work publishes some of a bucket's events. Rows are read by order and version, so that a batch never
// has an order's later event without its earlier ones.
func (r *Relay) work(ctx context.Context, bucket int64) (bool, error) {
	rows, err := r.next(ctx, bucket)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	published, perr := r.publish(ctx, rows)
	perr = errors.Join(perr, r.remove(ctx, bucket, published))
	if perr != nil {
		// What was left may come before what lies after this batch.
		r.restart(bucket)
	}
	if errors.Is(perr, jetstream.ErrNoStreamResponse) {
		perr = errors.Join(perr, r.ensure(ctx))
	}
	return len(rows) == relayBatch, perr
}

// next reads the bucket's rows from where the last visit to it ended.
func (r *Relay) next(ctx context.Context, bucket int64) ([]*row, error) {
	r.mu.Lock()
	after := r.after[bucket]
	r.mu.Unlock()
	rows, err := r.read(ctx, bucket, after)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.after, bucket)
	if len(rows) == relayBatch {
		// Going on from here, and around, keeps early order ids from starving late ones.
		last := rows[len(rows)-1]
		r.after[bucket] = position{orderID: last.OrderID, version: last.Version}
	}
	return rows, nil
}

func (r *Relay) restart(bucket int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.after, bucket)
}

// watchLag measures what waits in the buckets this relay leases.
func (r *Relay) watchLag(ctx context.Context) {
	tick := time.NewTicker(lagInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		measuring, cancel := context.WithTimeout(ctx, lagInterval)
		waiting, oldest, err := r.waiting(measuring)
		cancel()
		if err != nil {
			continue
		}
		age := time.Duration(0)
		if oldest != nil {
			age = r.now().Sub(*oldest)
		}
		r.metrics.waiting.Set(float64(waiting))
		r.metrics.oldest.Set(age.Seconds())
	}
}
