// Package materializer writes the orders that the flash lane accepted to the database: it reads
// every promotion's streams, each with one durable consumer, and acknowledges a record after its
// orders are committed. Any number of workers may run it. An order that the database refuses for
// good, or that does not fit its promotion, becomes a dead letter and its stock goes back; it never
// keeps the others waiting. A log is not believed: whoever may write to it could sell at any price.
package materializer

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/flash/watch"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

const (
	// ordersAtOnce is how many orders one transaction writes at most.
	ordersAtOnce = 500
	// defaultConcurrency is how many transactions are open at once unless Options says.
	defaultConcurrency = 4
)

// retry is the wait after a failure, before jitter.
var retry = backoff.Policy{First: 100 * time.Millisecond, Max: 4 * time.Second}

// Writer is order.Store.
type Writer interface {
	// Materialize writes the orders in one transaction; those that are there already stay.
	// An *order.UnwritableError names those that never can be written.
	Materialize(ctx context.Context, accepted []order.Accepted) error
	// Refuse decides that orders are not written, and has their stock given back. It
	// returns those that are not.
	Refuse(ctx context.Context, orders []order.Unwritable) (map[uuid.UUID]bool, error)
}

// Options of a materializer. Concurrency, Replicas, Source and Own may be left out.
type Options struct {
	JetStream jetstream.JetStream
	Writer    Writer
	// RatePerSecond is how many orders all workers together write a second, at most, over all
	// promotions; at least 1.
	RatePerSecond int
	// Part of that, 0 to 1, is what this worker may write now. It is asked again and again; all of it if
	// nil.
	Part func() float64
	// Concurrency is how many transactions are open at once, over all promotions; 4 if zero. One
	// promotion has one less at most, so that another finds room beside one that is stuck.
	Concurrency int
	// Replicas of the stream of dead letters, where this is the first to need it; 1 if zero.
	Replicas int
	// Source of dead letters: the OrderCluster's namespace and name; "orderd" if empty.
	Source string
	// Own tells whether an order's id is one that the buyer can have. Without it, ids are believed.
	Own   func(buyerID string, id uuid.UUID) bool
	Clock func() time.Time
	// Random spreads retries.
	Random     *rand.Rand
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Materializer of one worker pod.
type Materializer struct {
	options Options
	pacer   *pacer
	// open transactions.
	open *semaphore.Weighted
	*metrics
	random *backoff.Random
}

// New does no I/O. An error is the registerer's.
func New(options Options) (*Materializer, error) {
	if options.Concurrency < 1 {
		options.Concurrency = defaultConcurrency
	}
	if options.Source == "" {
		options.Source = "orderd"
	}
	if options.Replicas < 1 {
		options.Replicas = 1
	}
	measured, err := newMetrics(options.Registerer)
	if err != nil {
		return nil, err
	}
	return &Materializer{
		options: options, pacer: newPacer(options.RatePerSecond, options.Part, options.Clock),
		open: semaphore.NewWeighted(int64(options.Concurrency)), metrics: measured, random: backoff.NewRandom(options.Random),
	}, nil
}

// Run follows the promotions and writes their orders until ctx ends.
func (m *Materializer) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	followed := map[string]*following{}
	stop := func(uid string) {
		if p := followed[uid]; p != nil {
			p.cancel()
			delete(followed, uid)
		}
	}
	watch.Bucket(ctx, m.options.JetStream, prepare.PromotionsBucket, m.random.Jitter, m.options.Logger, watch.Handler{
		Put: func(uid string, value []byte, _ time.Time) {
			promo := &flashv1.Promotion{}
			if err := proto.Unmarshal(value, promo); err != nil {
				m.options.Logger.Error("promotion cannot be read", "promotion", uid, "error", err)
				return
			}
			p := followed[uid]
			if p == nil {
				p = m.newFollowing(promo)
				p.claims.Store(prepare.NewClaims(promo))
				followed[uid] = p
				var until context.Context
				until, p.cancel = context.WithCancel(ctx)
				for k := range promo.GetStreams() {
					running.Go(func() { newStream(p, k).follow(until) })
				}
			}
			p.claims.Store(prepare.NewClaims(promo))
			if promo.GetClosed() {
				p.closed.Store(true)
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

// pause waits after a failed attempt, counted from 0, or until ctx ends.
func (m *Materializer) pause(ctx context.Context, attempt int) {
	_ = backoff.Wait(ctx, m.random.Jitter(retry.Delay(attempt+1)))
}
