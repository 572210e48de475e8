package consume

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/orderd-dev/orderd/orderd/outbox"
)

const (
	// maxUnfinished events of a consumer are with its workers or wait to be tried again: room for one in a hundred to fail
	// until it is dead, for some minutes of a sale. When there are more, nothing new comes until some are done or dead.
	maxUnfinished = 65536
	// maxHeld is how many of them one pod has at most.
	maxHeld = 4096
	// maxFetch is how many events one question asks for.
	maxFetch = 512
	// idleWait is how long one question for events stays open, and a pod's end waits for it: events that come
	// after nobody waits for them would be held up for AckWait.
	idleWait      = time.Second
	ensureTimeout = 5 * time.Second
	watchInterval = 5 * time.Second
	// reconnectDelay and reconnectDelayMax bound the wait while JetStream is away, before jitter.
	reconnectDelay    = 200 * time.Millisecond
	reconnectDelayMax = 5 * time.Second
	// partsOfWait is how often a held event's AckWait is renewed before it is over.
	partsOfWait = 3
)

// Consumer is one consumer's part in one pod.
type Consumer struct {
	Options
	types   map[string]bool
	metrics *metrics
	log     *slog.Logger
	hand    *hand
	lanes   []chan *item
	// room is how many more events this pod takes.
	room     *semaphore.Weighted
	capacity int64
	// durable and events are set before the first item.
	durable atomic.Pointer[jetstream.Consumer]
	events  atomic.Pointer[jetstream.Stream]

	randomMu sync.Mutex
}

// New makes a consumer; Run starts it. It does no I/O. An error is a setting's or the registerer's.
func New(options Options) (*Consumer, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	o := options.withDefaults()
	c := &Consumer{Options: o, types: make(map[string]bool, len(o.Types)), log: o.Logger.With("consumer", o.Name)}
	for _, t := range o.Types {
		if _, err := newMessage(t); err != nil {
			return nil, fmt.Errorf("consumer %s: %w", o.Name, err)
		}
		c.types[t] = true
	}
	var err error
	if c.metrics, err = newMetrics(o.Registerer, o.Name); err != nil {
		return nil, err
	}
	// Each worker has a batch in work and another waiting.
	c.capacity = min(int64(2*o.Workers*o.Batch), maxHeld)
	c.room = semaphore.NewWeighted(c.capacity)
	c.hand = newHand()
	return c, nil
}

// Run consumes until ctx ends, puts back what it has not finished, and returns nil. It makes the streams and the durable if
// there are none, and outlives outages of JetStream and of the database.
func (c *Consumer) Run(ctx context.Context) error {
	c.lanes = make([]chan *item, c.Workers)
	var workers, watchers errgroup.Group
	for i := range c.lanes {
		// Never full: room is what bounds the events in all lanes.
		c.lanes[i] = make(chan *item, c.capacity)
		workers.Go(func() error { c.work(ctx, c.lanes[i]); return nil })
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	watchers.Go(func() error { c.hand.renew(watching, c.AckWait/partsOfWait); return nil })
	watchers.Go(func() error { c.watch(ctx); return nil })
	for attempt := 0; ctx.Err() == nil; attempt++ {
		err := c.receive(ctx, &attempt)
		if ctx.Err() == nil {
			c.log.Warn("events cannot be received", "error", err)
			c.pause(ctx, c.jitter(min(reconnectDelay<<min(attempt, 10), reconnectDelayMax)))
		}
	}
	for _, lane := range c.lanes {
		close(lane)
	}
	_ = workers.Wait()
	stop()
	return watchers.Wait()
}

// ensure makes the streams and the durable, or changes them to this version's settings.
func (c *Consumer) ensure(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	if err := outbox.EnsureStream(ctx, c.JetStream, c.Replicas); err != nil {
		return nil, err
	}
	if err := EnsureDeadLetters(ctx, c.JetStream, c.Replicas); err != nil {
		return nil, err
	}
	events, err := c.JetStream.Stream(ctx, outbox.Stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", outbox.Stream, err)
	}
	subjects := []string{outbox.ReplaySubject(c.Name, ">")}
	for t := range c.types {
		if s := outbox.EventSubject(t); !slices.Contains(subjects, s) {
			subjects = append(subjects, s)
		}
	}
	slices.Sort(subjects)
	config := jetstream.ConsumerConfig{
		Durable: c.Name, FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: c.AckWait, MaxDeliver: -1, MaxAckPending: maxUnfinished,
	}
	switch existing, err := events.Consumer(ctx, c.Name); {
	case err == nil:
		// Where a durable began cannot be changed.
		config.DeliverPolicy, config.OptStartTime = existing.CachedInfo().Config.DeliverPolicy, existing.CachedInfo().Config.OptStartTime
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, fmt.Errorf("durable %s: %w", c.Name, err)
	case c.Since > 0:
		start := c.Clock().Add(-c.Since)
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &start
	}
	durable, err := events.CreateOrUpdateConsumer(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("durable %s: %w", c.Name, err)
	}
	c.events.Store(&events)
	c.durable.Store(&durable)
	return durable, nil
}

// receive hands events to the workers until that fails or ctx ends. An order is always the same worker's.
func (c *Consumer) receive(ctx context.Context, attempt *int) error {
	durable, err := c.ensure(ctx)
	if err != nil {
		return err
	}
	fetch := min(maxFetch, (c.capacity+1)/2)
	for {
		if err := c.room.Acquire(ctx, fetch); err != nil {
			return fmt.Errorf("waiting for room: %w", err)
		}
		got, err := c.fetch(ctx, durable, int(fetch))
		c.room.Release(fetch - got)
		if err != nil {
			return err
		}
		*attempt = 0
	}
}

func (c *Consumer) fetch(ctx context.Context, durable jetstream.Consumer, n int) (got int64, err error) {
	batch, err := durable.Fetch(n, jetstream.FetchMaxWait(idleWait))
	if err != nil {
		return 0, fmt.Errorf("asking for events: %w", err)
	}
	var late []*item
	for msg := range batch.Messages() {
		it, err := c.read(msg)
		if err != nil {
			// No message of JetStream's; nothing could answer it.
			c.log.Error("a message cannot be read", "error", err)
			continue
		}
		got++
		c.hand.take(it)
		if ctx.Err() != nil {
			// Put back now, it could come here again.
			late = append(late, it)
			continue
		}
		c.lanes[it.lane(len(c.lanes))] <- it
	}
	for _, it := range late {
		c.release(it, it.msg.Nak())
	}
	if err := batch.Error(); err != nil {
		return got, fmt.Errorf("receiving events: %w", err)
	}
	return got, nil
}

// lane is the worker that the event's order belongs to.
func (i *item) lane(lanes int) int {
	h := fnv.New32a()
	// A hash's Write never fails.
	_, _ = h.Write(i.event.OrderID[:])
	return int(h.Sum32() % uint32(lanes))
}

// watch measures what waits.
func (c *Consumer) watch(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		durable := c.durable.Load()
		if durable == nil {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, watchInterval)
		info, err := (*durable).Info(asking)
		cancel()
		if err != nil {
			continue
		}
		c.metrics.pending.Set(float64(info.NumPending))
		c.metrics.unfinished.Set(float64(info.NumAckPending))
	}
}

func (c *Consumer) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// backoff is the delay after so many attempts.
func (c *Consumer) backoff(attempts int64) time.Duration {
	return c.jitter(min(c.Backoff.First<<min(max(attempts-1, 0), 30), c.Backoff.Max))
}

// jitter takes up to half of the delay away or adds it.
func (c *Consumer) jitter(delay time.Duration) time.Duration {
	c.randomMu.Lock()
	defer c.randomMu.Unlock()
	return delay/2 + time.Duration(c.Random.Int64N(int64(delay)+1))
}
