package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"golang.org/x/sync/errgroup"
)

const (
	// relayParallel orders of a bucket have an event on its way at once.
	relayParallel = 16
	// publishTimeout bounds waiting for JetStream's acknowledgement.
	publishTimeout = 5 * time.Second
)

// publish publishes events and returns those that were acknowledged: all of them in one atomic
// batch, which JetStream writes to disk once, or, where it refuses that, one by one. It refuses a
// batch with an event that it has already, left from a relay that died before it deleted it.
func (r *Relay) publish(ctx context.Context, rows []*row) ([]*row, error) {
	if len(rows) > 1 {
		err := r.publishBatch(ctx, rows)
		if err == nil {
			return rows, nil
		}
		var refused jetstream.JetStreamError
		if !errors.As(err, &refused) || refused.APIError() == nil {
			// It may have landed; the next time tells.
			r.metrics.failed.Add(float64(len(rows)))
			return nil, err
		}
	}
	return r.publishEach(ctx, rows)
}

func (r *Relay) publishBatch(ctx context.Context, rows []*row) error {
	messages := make([]*nats.Msg, len(rows))
	for i, e := range rows {
		messages[i] = e.message(r.source)
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if _, err := jetstreamext.PublishMsgBatch(ctx, r.js, messages); err != nil {
		return fmt.Errorf("publishing %d events: %w", len(rows), err)
	}
	for _, e := range rows {
		r.count(e)
	}
	return nil
}

// publishEach publishes many orders' events at once and each order's one after the other. An order's
// events after one that failed wait for the next time.
func (r *Relay) publishEach(ctx context.Context, rows []*row) ([]*row, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	var mu sync.Mutex
	var published []*row
	var first error
	var g errgroup.Group
	g.SetLimit(relayParallel)
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].OrderID == rows[0].OrderID {
			n++
		}
		events := rows[:n]
		rows = rows[n:]
		g.Go(func() error {
			done, err := r.publishOrder(ctx, events)
			mu.Lock()
			defer mu.Unlock()
			published = append(published, events[:done]...)
			if first == nil {
				first = err
			}
			return nil
		})
	}
	_ = g.Wait()
	return published, first
}

func (r *Relay) publishOrder(ctx context.Context, events []*row) (done int, err error) {
	for _, e := range events {
		if _, err := r.js.PublishMsg(ctx, e.message(r.source)); err != nil {
			r.metrics.failed.Inc()
			return done, fmt.Errorf("publishing event %s: %w", e.id(), err)
		}
		done++
		r.count(e)
	}
	return done, nil
}

func (r *Relay) count(e *row) {
	r.metrics.published.WithLabelValues(e.Event).Inc()
	r.metrics.delay.Observe(r.now().Sub(e.CreatedAt).Seconds())
}
