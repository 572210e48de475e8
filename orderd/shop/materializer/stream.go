package materializer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

const (
	// recordsAtOnce is how many records one question takes at most.
	recordsAtOnce = 256
	// fillWait is how long a question for more records stays open. The server answers late, or not
	// at all, where it may not give any.
	fillWait = 10 * time.Millisecond
	// idleWait is how long one question for the next record stays open.
	idleWait = 5 * time.Second
	// renewInterval is well below the time after which the server gives a record to another worker.
	renewInterval = 5 * time.Second
)

// stream writes the orders of one of a promotion's streams.
type stream struct {
	*following
	name string
	// index of the stream in the promotion's.
	index   int32
	working *messaging.Working[*record]
	// orders wait for a transaction; records has each one's, and misfits what of it does not fit the
	// promotion, nil if all does. They belong to follow's goroutine.
	orders  []order.Accepted
	records []*record
	misfits []*prepare.MisfitError
	// more records were there when the last one came, at a time.
	more bool
	came time.Time
	// perRecord is how many orders the last record had.
	perRecord int
	// chunks are on their way.
	chunks sync.WaitGroup
}

func newStream(p *following, k int) *stream {
	return &stream{following: p, name: p.promo.GetStreams()[k], index: int32(k), working: messaging.NewWorking[*record]()}
}

// follow writes the stream's orders until ctx ends, or the promotion is closed and all are written.
func (s *stream) follow(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { s.working.Renew(ctx, renewInterval) })
	beside.Go(func() { s.watchLag(ctx) })
	defer func() {
		cancel()
		beside.Wait()
		s.chunks.Wait()
		s.working.PutBack()
	}()
	for attempt := 0; ctx.Err() == nil; {
		done, err := s.session(ctx)
		if done {
			return
		}
		if err == nil {
			attempt = 0
			continue
		}
		if ctx.Err() == nil {
			s.log.Warn("records cannot be read", "stream", s.name, "error", err)
			s.pause(ctx, attempt)
			attempt++
		}
	}
}

// session reads records and starts their chunks until something fails.
func (s *stream) session(ctx context.Context) (done bool, err error) {
	consumer, err := s.options.JetStream.Consumer(ctx, s.name, prepare.MaterializerConsumer)
	if err != nil {
		return false, fmt.Errorf("finding the consumer of stream %s: %w", s.name, err)
	}
	for ctx.Err() == nil {
		if len(s.orders) == 0 {
			// What this worker may not write yet, another one may.
			if err := s.pacer.untilAny(ctx); err != nil {
				return false, err
			}
			came, err := s.receive(ctx, consumer)
			if err != nil {
				return false, err
			}
			if !came {
				if done, err := s.drained(ctx, consumer); done || err != nil {
					return done, err
				}
				continue
			}
		}
		if err := enter(ctx, s.slots); err != nil {
			return false, err
		}
		// While the chunks before were on their way more may have come.
		if err := s.fill(ctx, consumer); err != nil {
			s.log.Debug("no more records for now", "stream", s.name, "error", err)
		}
		if err := s.start(ctx); err != nil {
			return false, err
		}
	}
	return false, ctx.Err()
}

// receive waits for a record and tells whether one came in time.
func (s *stream) receive(ctx context.Context, consumer jetstream.Consumer) (bool, error) {
	waiting, cancel := context.WithTimeout(ctx, idleWait)
	defer cancel()
	msg, err := consumer.Next(jetstream.FetchContext(waiting))
	if err == nil {
		s.add(ctx, msg)
		return true, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrMsgIteratorClosed) ||
		errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) {
		return false, nil
	}
	return false, fmt.Errorf("waiting for a record: %w", err)
}

// fill takes records that are there until there are orders for one transaction.
func (s *stream) fill(ctx context.Context, consumer jetstream.Consumer) error {
	most := s.pacer.most()
	for len(s.orders) < most && ctx.Err() == nil && (s.more || s.options.Clock().Sub(s.came) > fillWait) {
		wanted := min(recordsAtOnce, (most-len(s.orders)-1)/max(1, s.perRecord)+1)
		batch, err := consumer.Fetch(wanted, jetstream.FetchMaxWait(fillWait))
		if err != nil {
			return err
		}
		got := 0
		for msg := range batch.Messages() {
			s.add(ctx, msg)
			got++
		}
		if err := batch.Error(); err != nil || got < wanted {
			return err
		}
	}
	return nil
}

// add puts a record's orders behind those that wait.
func (s *stream) add(ctx context.Context, msg jetstream.Msg) {
	r := &record{Msg: msg, working: s.working}
	s.working.Add(r)
	meta, err := msg.Metadata()
	s.came = s.options.Clock()
	stored := s.came
	if s.more = false; err == nil {
		s.more, stored = meta.NumPending > 0, meta.Timestamp
	}
	orders, misfits, err := s.read(msg, stored)
	if err != nil && !s.buryRecord(ctx, r, err) {
		r.back.Store(true)
	}
	if len(orders) == 0 {
		r.finish()
		return
	}
	s.perRecord = len(orders)
	r.left.Store(int64(len(orders)))
	s.orders, s.misfits = append(s.orders, orders...), append(s.misfits, misfits...)
	for range orders {
		s.records = append(s.records, r)
	}
}

// start sends the first orders that wait on their way, in a slot that was taken for them.
func (s *stream) start(ctx context.Context) error {
	n := min(s.pacer.most(), len(s.orders))
	if n == 0 {
		<-s.slots
		return nil
	}
	c := &chunk{stream: s, orders: s.orders[:n:n], records: s.records[:n:n]}
	misfits := s.misfits[:n:n]
	s.orders, s.records, s.misfits = s.orders[n:], s.records[n:], s.misfits[n:]
	if len(s.orders) == 0 {
		s.orders, s.records, s.misfits = nil, nil, nil
	}
	if err := s.pace(ctx, n); err != nil {
		<-s.slots
		return err
	}
	s.chunks.Go(func() {
		defer func() { <-s.slots }()
		c.write(ctx, misfits)
	})
	return nil
}

// drained tells whether nothing is left and nothing can come any more.
func (s *stream) drained(ctx context.Context, consumer jetstream.Consumer) (bool, error) {
	if !s.closed.Load() || s.working.Len() > 0 {
		return false, nil
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return false, fmt.Errorf("asking for the consumer of stream %s: %w", s.name, err)
	}
	return info.NumPending == 0 && info.NumAckPending == 0, nil
}
