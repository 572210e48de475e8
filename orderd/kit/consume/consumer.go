package consume

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

const (
	// maxUnfinished events of a consumer are with its workers or wait to be tried again: room for
	// one in a hundred to fail until it is dead, for some minutes of a sale. When there are more,
	// nothing new comes until some are done or dead.
	maxUnfinished = 65536
	// maxHeld is how many of them one pod has at most.
	maxHeld = 4096
	// maxFetch is how many events one question asks for.
	maxFetch = 512
	// idleWait is how long one question for events stays open, and a pod's end waits for it: events
	// that come after nobody waits for them would be held up for AckWait.
	idleWait      = time.Second
	ensureTimeout = 5 * time.Second
	watchInterval = 5 * time.Second
	// partsOfWait is how often a held event's AckWait is renewed before it is over.
	partsOfWait = 3
)

// reconnecting is the wait while JetStream is away, before jitter.
var reconnecting = backoff.Policy{First: 200 * time.Millisecond, Max: 5 * time.Second}

// Consumer is one consumer's part in one pod.
type Consumer struct {
	options Options
	types   map[string]bool
	metrics *metrics
	log     *slog.Logger
	working *messaging.Working[*item]
	queues  []chan *item
	random  *backoff.Random
	// room is how many more events this pod takes.
	room     *semaphore.Weighted
	capacity int64
	// durable and events are set before the first item.
	durable atomic.Pointer[jetstream.Consumer]
	events  atomic.Pointer[jetstream.Stream]
}

// New makes a consumer; Run starts it. It does no I/O. An error is a setting's or the registerer's.
func New(options Options) (*Consumer, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	o := options.withDefaults()
	c := &Consumer{
		options: o, types: make(map[string]bool, len(o.Types)), log: o.Logger.With("consumer", o.Name),
		random: backoff.NewRandom(o.Random), working: messaging.NewWorking[*item](),
	}
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
	return c, nil
}

// Run consumes until ctx ends, puts back what it has not finished, and returns nil. It makes the
// streams and the durable if there are none, and outlives outages of JetStream and of the database.
func (c *Consumer) Run(ctx context.Context) error {
	c.queues = make([]chan *item, c.options.Workers)
	var workers, watchers errgroup.Group
	for i := range c.queues {
		// Never full: room is what bounds the events in all queues.
		c.queues[i] = make(chan *item, c.capacity)
		workers.Go(func() error { c.work(ctx, c.queues[i]); return nil })
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	watchers.Go(func() error { c.working.Renew(watching, c.options.AckWait/partsOfWait); return nil })
	watchers.Go(func() error { c.watch(ctx); return nil })
	for attempt := 0; ctx.Err() == nil; attempt++ {
		err := c.receive(ctx, &attempt)
		if ctx.Err() == nil {
			c.log.Warn("events cannot be received", "error", err)
			_ = backoff.Wait(ctx, c.random.Jitter(reconnecting.Delay(attempt+1)))
		}
	}
	for _, queue := range c.queues {
		close(queue)
	}
	_ = workers.Wait()
	stop()
	return watchers.Wait()
}

// ensure makes the streams and the durable, or changes them to this version's settings.
func (c *Consumer) ensure(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	broken, err := outbox.EnsureStream(ctx, c.options.JetStream, c.options.Replicas)
	if err != nil {
		return nil, err
	}
	messaging.Tell(c.log, broken)
	if err := c.ensureDeadLetters(ctx); err != nil {
		return nil, err
	}
	events, err := c.options.JetStream.Stream(ctx, outbox.Stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", outbox.Stream, err)
	}
	subjects := []string{outbox.ReplaySubject(c.options.Name, ">")}
	for t := range c.types {
		if s := outbox.EventSubject(t); !slices.Contains(subjects, s) {
			subjects = append(subjects, s)
		}
	}
	slices.Sort(subjects)
	config := jetstream.ConsumerConfig{
		Durable:        c.options.Name,
		FilterSubjects: subjects,
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        c.options.AckWait,
		MaxDeliver:     -1,
		MaxAckPending:  maxUnfinished,
	}
	switch existing, err := events.Consumer(ctx, c.options.Name); {
	case err == nil:
		// Where a durable began cannot be changed.
		began := existing.CachedInfo().Config
		config.DeliverPolicy, config.OptStartTime = began.DeliverPolicy, began.OptStartTime
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, fmt.Errorf("durable %s: %w", c.options.Name, err)
	case c.options.Since > 0:
		start := c.options.Clock().Add(-c.options.Since)
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &start
	}
	durable, err := events.CreateOrUpdateConsumer(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("durable %s: %w", c.options.Name, err)
	}
	c.events.Store(&events)
	c.durable.Store(&durable)
	return durable, nil
}

func (c *Consumer) ensureDeadLetters(ctx context.Context) error {
	broken, err := EnsureDeadLetters(ctx, c.options.JetStream, c.options.Replicas)
	messaging.Tell(c.log, broken)
	return err
}

// receive hands events to the workers until that fails or ctx ends. An order is
// always the same worker's.
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
		c.working.Add(it)
		if ctx.Err() != nil {
			// Put back now, it could come here again.
			late = append(late, it)
			continue
		}
		c.queues[it.worker(len(c.queues))] <- it
	}
	for _, it := range late {
		c.letGo(it, it.msg.Nak())
	}
	if err := batch.Error(); err != nil {
		return got, fmt.Errorf("receiving events: %w", err)
	}
	return got, nil
}

// worker is the number of the worker that the event's order belongs to.
func (i *item) worker(workers int) int {
	h := fnv.New32a()
	// A hash's Write never fails.
	_, _ = h.Write(i.event.OrderID[:])
	return int(h.Sum32() % uint32(workers))
}

// watch metrics what waits.
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

// backoff is the delay after so many failed attempts.
func (c *Consumer) backoff(attempts int64) time.Duration {
	return c.random.Jitter(c.options.Backoff.Delay(int(attempts)))
}
