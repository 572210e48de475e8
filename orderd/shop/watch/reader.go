package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

const (
	// openTimeout bounds the opening of the stream.
	openTimeout = 5 * time.Second
	// heartbeat is how often the server says that it is there while there is no event; after two that are
	// missing the reader begins anew.
	heartbeat = 2 * time.Second
	// readAhead is how many events the server sends before they are asked for: some 500 bytes each.
	readAhead = 2048
	// abandoned is when the server removes the consumer of a reader that is gone.
	abandoned = time.Minute
)

// retry of a reader that cannot read, before jitter.
var retry = backoff.Policy{First: 250 * time.Millisecond, Max: 5 * time.Second}

// errGap says that the server has left out a message.
var errGap = errors.New("a message is missing")

// Run reads the stream until ctx ends, and returns nil. It outlives outages of the server and waits for
// a stream that is not there yet.
func (h *Hub) Run(ctx context.Context) error {
	reconnected := h.js.Conn().StatusChanged(nats.CONNECTED)
	defer h.js.Conn().RemoveStatusListener(reconnected)
	for failures := 0; ctx.Err() == nil; {
		read, err := h.session(ctx, reconnected)
		if ctx.Err() != nil {
			break
		}
		if read {
			failures = 0
		}
		if failures++; failures == 1 || failures%20 == 0 {
			h.log.Warn("orders' changes are not followed; it is tried again", "error", err, "failures", failures)
		}
		// Only the end of ctx is an error.
		_ = backoff.Wait(ctx, h.random.Jitter(retry.Delay(failures)))
	}
	return nil
}

// session reads until something fails, the server is another one, or ctx ends, and tells whether it
// read anything.
func (h *Hub) session(ctx context.Context, reconnected <-chan nats.Status) (read bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-reconnected:
			// The consumer may be gone with its server, which the client notices after some seconds only.
			cancel(errReconnected)
		case <-ended:
		}
	}()
	s, err := h.open(ctx)
	if err != nil {
		return false, errors.Join(err, context.Cause(ctx))
	}
	defer s.messages.Stop()
	for {
		msg, err := s.messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return read, fmt.Errorf("reading %s: %w", outbox.Stream, errors.Join(err, context.Cause(ctx)))
		}
		if err := s.take(msg); err != nil {
			return read, err
		}
		read = true
	}
}

var errReconnected = errors.New("the connection is a new one")

// session is one consumer of the stream.
type session struct {
	hub      *Hub
	messages jetstream.MessagesContext
	// known is the change that has to come first, as it was read before; nil if none has to.
	known *change
	// taken counts the consumer's messages.
	taken uint64
}

// open makes a consumer that goes on with the last change that was read: that it comes again, and as it
// was, says that the stream is the same as before.
func (h *Hub) open(ctx context.Context) (*session, error) {
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	stream, err := h.js.Stream(opening, outbox.Stream)
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", outbox.Stream, err)
	}
	s := &session{hub: h}
	from := s.from(stream.CachedInfo().State)
	consumer, err := stream.CreateConsumer(opening, jetstream.ConsumerConfig{
		FilterSubject: outbox.EventSubjects, HeadersOnly: true,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: abandoned,
	})
	if err != nil {
		return nil, fmt.Errorf("making a consumer of %s: %w", outbox.Stream, err)
	}
	s.messages, err = consumer.Messages(jetstream.PullMaxMessages(readAhead), jetstream.PullHeartbeat(heartbeat),
		jetstream.PullExpiry(5*heartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", outbox.Stream, err)
	}
	if consumer.CachedInfo().NumPending == 0 {
		h.caughtUp()
	}
	return s, nil
}

// from is the sequence that the session begins with. Where it does not go on with what was read before,
// the watchers are told.
func (s *session) from(state jetstream.StreamState) uint64 {
	s.hub.mu.Lock()
	last, any := s.hub.recent.last()
	whole, reading := s.hub.recent.whole, s.hub.reading
	s.hub.mu.Unlock()
	switch {
	case any && last.sequence <= state.LastSeq && state.LastSeq-last.sequence < recentChanges:
		s.known = &last
		return last.sequence
	case !any && whole && reading && state.LastSeq < recentChanges:
		return 1
	}
	from := uint64(1)
	if state.LastSeq > backlog {
		from = state.LastSeq - backlog + 1
	}
	s.hub.miss(from == 1 && state.FirstSeq <= 1)
	return from
}

// miss is missed, counted but where there was nothing to miss.
func (h *Hub) miss(whole bool) {
	h.mu.Lock()
	began := h.reading
	h.mu.Unlock()
	if began {
		h.metrics.missed.Inc()
		h.log.Warn("changes of orders may have been missed; all watchers look anew")
	}
	h.missed(whole)
}

// take a message.
func (s *session) take(msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("a message of %s: %w", outbox.Stream, err)
	}
	if s.taken++; meta.Sequence.Consumer != s.taken {
		return errGap
	}
	orderID, version, ok := outbox.ParseID(msg.Headers().Get(outbox.HeaderID))
	c := change{orderID: orderID, version: version, sequence: meta.Sequence.Stream}
	known := s.known
	s.known = nil
	switch {
	case known != nil && c == *known:
	case known != nil:
		s.hub.miss(false)
		fallthrough
	default:
		// What is no event of orderd's says nothing of an order.
		if ok {
			s.hub.changed(c)
		}
	}
	if meta.NumPending == 0 {
		s.hub.caughtUp()
	}
	return nil
}

// caughtUp says that all that is in the stream was read.
func (h *Hub) caughtUp() {
	h.mu.Lock()
	began := h.reading
	h.reading = true
	h.mu.Unlock()
	if !began {
		h.log.Info("orders' changes are followed")
	}
}
