// Package materializer writes the orders that the flash lane accepted to the database: it reads every
// promotion's stream with one durable consumer, and acknowledges a record after its orders are
// committed. Any number of workers may run it.
package materializer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/flash/watch"
	"github.com/orderd-dev/orderd/orderd/order"
)

const (
	// recordsAtOnce is how many records a worker holds of one promotion at most.
	recordsAtOnce = 32
	// ordersAtOnce is how many orders one transaction writes at most.
	ordersAtOnce = 500
	// idleWait is how long one question for the next record stays open.
	idleWait = 5 * time.Second
	// writeTimeout bounds one transaction, well below the time after which a record goes to another worker.
	writeTimeout = 10 * time.Second
	// retryDelay and retryDelayMax bound the wait after a failure, before jitter.
	retryDelay    = 100 * time.Millisecond
	retryDelayMax = 4 * time.Second
	// redeliverAfter is when a record that cannot be read is looked at again.
	redeliverAfter = time.Minute
)

// Writer is order.Store.
type Writer interface {
	// Materialize writes the orders in one transaction; those that are there already stay.
	Materialize(ctx context.Context, accepted []order.Accepted) error
}

// Options of a materializer; all are needed.
type Options struct {
	JetStream jetstream.JetStream
	Writer    Writer
	// RatePerSecond is how many orders are written a second, at most, over all promotions; at least 1.
	RatePerSecond int
	Clock         func() time.Time
	// Random spreads retries.
	Random     *rand.Rand
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Materializer of one worker pod.
type Materializer struct {
	Options
	limiter  *rate.Limiter
	chunk    int
	written  prometheus.Counter
	failures prometheus.Counter
	delay    prometheus.Histogram

	randomMu sync.Mutex
}

// New does no I/O; it panics if the registerer has a materializer's metrics already.
func New(options Options) *Materializer {
	chunk := min(ordersAtOnce, max(1, options.RatePerSecond))
	m := &Materializer{
		Options: options, limiter: rate.NewLimiter(rate.Limit(options.RatePerSecond), chunk), chunk: chunk,
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_flash_materialized_total", Help: "Flash orders committed to the database, repetitions included."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_flash_materialize_failures_total", Help: "Transactions that failed and were tried again."}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderd_flash_materialize_delay_seconds", Help: "Time from an order's acceptance to its commit.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 18)}),
	}
	options.Registerer.MustRegister(m.written, m.failures, m.delay)
	return m
}

// Run follows the promotions and writes their orders until ctx ends.
func (m *Materializer) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	followed := map[string]context.CancelFunc{}
	stop := func(uid string) {
		if cancel := followed[uid]; cancel != nil {
			cancel()
			delete(followed, uid)
		}
	}
	watch.Bucket(ctx, m.JetStream, provision.PromotionsBucket, m.jitter, m.Logger, watch.Handler{
		Put: func(uid string, value []byte, _ time.Time) {
			promo := &flashv1.Promotion{}
			if err := proto.Unmarshal(value, promo); err != nil {
				m.Logger.Error("promotion cannot be read", "promotion", uid, "error", err)
				return
			}
			if followed[uid] != nil {
				return
			}
			following, cancel := context.WithCancel(ctx)
			followed[uid] = cancel
			for _, stream := range promo.GetStreams() {
				running.Go(func() { m.follow(following, promo, stream) })
			}
		},
		Delete: stop,
		Synced: func(uids map[string]struct{}) {
			for uid := range followed {
				if _, there := uids[uid]; !there {
					stop(uid)
				}
			}
		},
	})
	return nil
}

// follow writes the orders of a promotion's stream until ctx ends.
func (m *Materializer) follow(ctx context.Context, promo *flashv1.Promotion, stream string) {
	log := m.Logger.With("promotion", promo.GetUid())
	for attempt := 0; ctx.Err() == nil; {
		err := m.step(ctx, promo, stream)
		if err == nil {
			attempt = 0
			continue
		}
		if ctx.Err() == nil {
			log.Warn("records cannot be read", "error", err)
			m.pause(ctx, attempt)
			attempt++
		}
	}
}

// step writes the orders of the records that are there, or waits for one.
func (m *Materializer) step(ctx context.Context, promo *flashv1.Promotion, stream string) error {
	consumer, err := m.JetStream.Consumer(ctx, stream, provision.MaterializerConsumer)
	if err != nil {
		return fmt.Errorf("finding the consumer of stream %s: %w", stream, err)
	}
	for ctx.Err() == nil {
		records, err := receive(ctx, consumer)
		if err != nil {
			return err
		}
		if err := m.write(ctx, promo, records); err != nil {
			for _, msg := range records {
				// Another worker may have it at once; where this fails it was acknowledged, or its time runs out.
				_ = msg.Nak()
			}
			return err
		}
	}
	return nil
}

// receive waits for a record and takes those that are there besides. None came in time: none.
func receive(ctx context.Context, consumer jetstream.Consumer) ([]jetstream.Msg, error) {
	waiting, cancel := context.WithTimeout(ctx, idleWait)
	defer cancel()
	first, err := consumer.Next(jetstream.FetchContext(waiting))
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrMsgIteratorClosed) || isTimeout(err) {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("waiting for a record: %w", err)
	}
	records := []jetstream.Msg{first}
	rest, err := consumer.FetchNoWait(recordsAtOnce - 1)
	if err != nil {
		// The first one is good, and the next turn will tell.
		return records, nil
	}
	for msg := range rest.Messages() {
		records = append(records, msg)
	}
	return records, nil
}

// write commits the records' orders and acknowledges the records. Those it does not get to are delivered
// again.
func (m *Materializer) write(ctx context.Context, promo *flashv1.Promotion, records []jetstream.Msg) error {
	var orders []order.Accepted
	var unacked []jetstream.Msg
	flush := func(atLeast int) error {
		for len(orders) >= atLeast && len(orders) > 0 {
			n := min(m.chunk, len(orders))
			if err := m.commit(ctx, orders[:n], records); err != nil {
				return err
			}
			orders = orders[n:]
		}
		if len(orders) > 0 {
			return nil
		}
		return acknowledge(&unacked)
	}
	for _, msg := range records {
		accepted, err := read(promo, msg.Data())
		if err != nil {
			m.Logger.Error("record cannot be read", "promotion", promo.GetUid(), "error", err)
			if err := msg.NakWithDelay(redeliverAfter); err != nil {
				return fmt.Errorf("putting a record back: %w", err)
			}
			continue
		}
		orders, unacked = append(orders, accepted...), append(unacked, msg)
		if err := flush(m.chunk); err != nil {
			return err
		}
	}
	return flush(1)
}

func acknowledge(records *[]jetstream.Msg) error {
	for _, msg := range *records {
		if err := msg.Ack(); err != nil {
			return fmt.Errorf("acknowledging a record: %w", err)
		}
	}
	*records = nil
	return nil
}

// commit writes one chunk, however long the database is away. held stay this worker's meanwhile.
func (m *Materializer) commit(ctx context.Context, chunk []order.Accepted, held []jetstream.Msg) error {
	if err := m.limiter.WaitN(ctx, len(chunk)); err != nil {
		return fmt.Errorf("waiting for the rate limit: %w", err)
	}
	for attempt := 0; ; attempt++ {
		for _, msg := range held {
			// An error is that it was acknowledged before, or that the connection is away: then it comes again.
			_ = msg.InProgress()
		}
		writing, cancel := context.WithTimeout(ctx, writeTimeout)
		err := m.Writer.Materialize(writing, chunk)
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.failures.Inc()
		m.Logger.Warn("orders were not written", "orders", len(chunk), "attempt", attempt, "error", err)
		m.pause(ctx, attempt)
	}
	m.written.Add(float64(len(chunk)))
	now := m.Clock()
	for _, o := range chunk {
		m.delay.Observe(now.Sub(o.AcceptedAt).Seconds())
	}
	return nil
}

func (m *Materializer) pause(ctx context.Context, attempt int) {
	timer := time.NewTimer(m.jitter(min(retryDelay<<min(attempt, 10), retryDelayMax)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (m *Materializer) jitter(delay time.Duration) time.Duration {
	m.randomMu.Lock()
	defer m.randomMu.Unlock()
	return delay/2 + time.Duration(m.Random.Int64N(int64(delay)+1))
}

// read gives the orders of a record; only Reserved records have some.
func read(promo *flashv1.Promotion, data []byte) ([]order.Accepted, error) {
	var record flashv1.Record
	if err := proto.Unmarshal(data, &record); err != nil {
		return nil, fmt.Errorf("decoding a record: %w", err)
	}
	reservations := record.GetReserved().GetReservations()
	orders := make([]order.Accepted, 0, len(reservations))
	for _, r := range reservations {
		id, err := uuid.FromBytes(r.GetOrderId())
		if err != nil {
			return nil, fmt.Errorf("decoding an order id: %w", err)
		}
		accepted := order.Accepted{
			OrderID: id, BuyerID: r.GetBuyerId(), RequestID: r.GetRequestId(), Currency: r.GetCurrency(),
			PromotionUID: promo.GetUid(), Promotion: promo.GetName(),
			AcceptedAt: time.UnixMilli(r.GetAcceptedAtUnixMs()).UTC(), ExpiresAt: time.UnixMilli(r.GetExpiresAtUnixMs()).UTC(),
			Items: make([]order.AcceptedItem, len(r.GetItems())),
		}
		for i, item := range r.GetItems() {
			accepted.Items[i] = order.AcceptedItem{SKU: item.GetSku(), Quantity: item.GetQuantity(), UnitPrice: item.GetUnitPrice()}
		}
		orders = append(orders, accepted)
	}
	return orders, nil
}

// isTimeout says that no record came while the question was open.
func isTimeout(err error) bool {
	return errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages)
}
