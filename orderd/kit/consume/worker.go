package consume

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

const (
	// deliveryTimeout bounds one delivery.
	deliveryTimeout = 30 * time.Second
	// noteTimeout bounds what is written about an event that failed.
	noteTimeout = 10 * time.Second
	// giveUpAfter is the age at which an event becomes a dead letter although nothing but outages
	// held it up: well before the stream drops it.
	giveUpAfter = outbox.Retention - 2*24*time.Hour
)

// outagePause is a worker's pause in an outage, before jitter.
var outagePause = backoff.Policy{First: 100 * time.Millisecond, Max: 5 * time.Second}

// run is one worker's turn with some events.
type run struct {
	*Consumer
	// stuck orders had an event that was put back; their later events follow it.
	stuck map[uuid.UUID]bool
	// after is how long the worker pauses, if there was an outage.
	outage bool
	after  time.Duration
}

// work handles a queue's events until it is closed. When ctx has ended, what is left goes back at
// once.
func (c *Consumer) work(ctx context.Context, queue <-chan *item) {
	outages := 0
	for first := range queue {
		items := collect(first, queue, c.options.Batch)
		r := &run{Consumer: c, stuck: map[uuid.UUID]bool{}}
		if ctx.Err() == nil {
			c.metrics.batch.Observe(float64(len(items)))
			r.handle(ctx, items)
		} else {
			r.putBack(items, 0)
		}
		if !r.outage {
			outages = 0
			continue
		}
		outages++
		_ = backoff.Wait(ctx, max(r.after, c.random.Jitter(outagePause.Delay(outages))))
	}
}

// collect receives what waits in the queue besides the first.
func collect(first *item, queue <-chan *item, limit int) []*item {
	items := []*item{first}
	for len(items) < limit {
		select {
		case it, open := <-queue:
			if !open {
				return items
			}
			items = append(items, it)
		default:
			return items
		}
	}
	return items
}

// handle answers every item: acknowledged, put back, or terminated as a dead letter.
func (r *run) handle(ctx context.Context, items []*item) {
	var events []*item
	seen := map[key]bool{}
	for _, it := range items {
		switch k := it.key(); {
		case it.unreadable != nil:
			r.failed(ctx, it, Permanent(it.unreadable))
		case !r.types[it.event.Type]:
			r.done(it, resultIgnored)
		case seen[k]:
			// The same event twice: the first one's outcome is not known yet.
			r.postpone(it)
		default:
			seen[k] = true
			events = append(events, it)
		}
	}
	slices.SortStableFunc(events, func(a, b *item) int {
		return cmp.Or(bytes.Compare(a.event.OrderID[:], b.event.OrderID[:]),
			cmp.Compare(a.meta.Sequence.Stream, b.meta.Sequence.Stream))
	})
	if r.options.Delivery != nil {
		r.deliverAll(ctx, events)
		return
	}
	var replays []*item
	events = slices.DeleteFunc(events, func(it *item) bool {
		if it.replay {
			replays = append(replays, it)
		}
		return it.replay
	})
	if events = r.ready(ctx, events); len(events) > 0 {
		r.apply(ctx, events)
	}
	for _, it := range replays {
		r.apply(ctx, []*item{it})
	}
}

// isOutage tells whether an error says nothing about the event, and for how long to wait at least.
func (c *Consumer) isOutage(err error) (after time.Duration, yes bool) {
	var later *laterError
	switch {
	case IsPermanent(err):
		return 0, false
	case errors.As(err, &later):
		return later.after, true
	}
	// What a Delivery meets on its way is no database error.
	return 0, c.options.Delivery == nil && database.ClassOf(err) != database.Final
}

// failed puts an event back after an error, or makes it a dead letter.
func (r *run) failed(ctx context.Context, it *item, err error) {
	if ctx.Err() != nil {
		// It is this pod that ends.
		r.putBack([]*item{it}, 0)
		return
	}
	if after, outage := r.isOutage(err); outage {
		r.away(ctx, []*item{it}, err, after)
		return
	}
	r.metrics.failures.WithLabelValues(kindEvent).Inc()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	rec, known, serr := fail(ctx, r.options.Pool, r.options.Name, failure{
		key: it.key(), at: r.options.Clock(), reason: reason(err), dead: IsPermanent(err), replay: it.replay,
	}, r.options.MaxAttempts)
	switch {
	case serr != nil:
		r.log.Warn("a failure was not counted", "event", it.event.ID, "error", errors.Join(serr, err))
		r.suspend([]*item{it}, 0)
	case !known:
		// Another pod was faster.
		r.postpone(it)
	case rec.outcome == outcomeDead:
		r.bury(ctx, it, rec)
	default:
		r.log.Warn("an event failed and is tried again", "event", it.event.ID, "type", it.event.Type, "attempts",
			rec.attempts, "error", err)
		r.putBack([]*item{it}, r.backoff(rec.attempts))
	}
}

// away puts events back because of an outage, and makes dead letters of those that are
// too old to wait longer.
func (r *run) away(ctx context.Context, items []*item, err error, after time.Duration) {
	if ctx.Err() != nil {
		r.putBack(items, 0)
		return
	}
	r.metrics.failures.WithLabelValues(kindOutage).Add(float64(len(items)))
	r.log.Warn("events wait for the end of an outage", "events", len(items), "first", items[0].event.ID, "error", err)
	for _, it := range items {
		if r.options.Clock().Sub(it.event.Time) < giveUpAfter {
			r.suspend([]*item{it}, after)
		} else {
			r.failed(ctx, it, Permanent(fmt.Errorf("given up after %s: %w", giveUpAfter, err)))
		}
	}
}

// suspend puts events back in an outage, for whoever can handle them first, and
// makes this worker pause.
func (r *run) suspend(items []*item, after time.Duration) {
	r.outage, r.after = true, min(max(r.after, after), r.options.Backoff.Max)
	for _, it := range items {
		attempts := int64(min(it.meta.NumDelivered, 1<<20))
		r.putBack([]*item{it}, max(r.after, min(r.backoff(attempts), outagePause.Max)))
	}
}

// postpone puts an event back for a moment, because an earlier one of its order is not finished.
func (r *run) postpone(it *item) {
	r.metrics.held.Inc()
	r.putBack([]*item{it}, r.random.Jitter(postponement.Delay(int(min(it.meta.NumDelivered, 1<<20)))))
}

// putBack has events delivered again after the delay. Later events of their orders that
// are in this run follow.
func (r *run) putBack(items []*item, delay time.Duration) {
	for _, it := range items {
		r.stuck[it.event.OrderID] = true
		var err error
		if delay > 0 {
			err = it.msg.NakWithDelay(delay)
		} else {
			err = it.msg.Nak()
		}
		r.letGo(it, err)
	}
}

// done acknowledges an event. If that is lost, it comes again and the inbox knows it.
func (r *run) done(it *item, result string) {
	r.metrics.processed.WithLabelValues(result).Inc()
	if result == resultDone {
		r.metrics.delay.Observe(r.options.Clock().Sub(it.event.Time).Seconds())
	}
	r.letGo(it, it.msg.Ack())
}

// letGo forgets an event that is answered; err is the answer's.
func (c *Consumer) letGo(it *item, err error) {
	if err != nil {
		c.log.Warn("an answer to JetStream is lost; the event comes again", "event", it.event.ID, "error", err)
	}
	c.working.Remove(it)
	c.room.Release(1)
}
