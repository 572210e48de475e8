package deadletter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// retryDelay is what callers are asked to wait while JetStream is away.
const retryDelay = time.Second

// store is the stream ORDER_DEADLETTERS.
type store struct {
	js       jetstream.JetStream
	replicas int
	log      *slog.Logger
}

func unavailable(err error) error {
	return rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonMessagingUnavailable,
		"the messaging system is away; retry with the same request id", retryDelay).WithCause(err)
}

func notFound() error {
	return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonDeadLetterNotFound,
		"there is no such dead letter; it may have been replayed or discarded")
}

func (s *store) stream(ctx context.Context) (jetstream.Stream, error) {
	stream, err := s.js.Stream(ctx, consume.DeadLetters)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		broken, failed := consume.EnsureDeadLetters(ctx, s.js, s.replicas)
		if failed != nil {
			return nil, unavailable(failed)
		}
		messaging.Tell(s.log, broken)
		stream, err = s.js.Stream(ctx, consume.DeadLetters)
	}
	if err != nil {
		return nil, unavailable(fmt.Errorf("finding the stream of dead letters: %w", err))
	}
	return stream, nil
}

// list returns up to limit letters of a consumer, or of all, from a sequence on.
func (s *store) list(ctx context.Context, consumer string, from uint64, limit int) ([]letter, error) {
	stream, err := s.stream(ctx)
	if err != nil {
		return nil, err
	}
	var out []letter
	for len(out) < limit {
		msg, err := stream.GetMsg(ctx, max(from, 1), jetstream.WithGetMsgSubject(consume.DeadLetterSubject(consumer)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, unavailable(fmt.Errorf("reading dead letters: %w", err))
		}
		out = append(out, newLetter(msg))
		from = msg.Sequence + 1
	}
	return out, nil
}

// get returns a letter, or nil if there is none.
func (s *store) get(ctx context.Context, id int64) (*letter, error) {
	stream, err := s.stream(ctx)
	if err != nil {
		return nil, err
	}
	msg, err := stream.GetMsg(ctx, uint64(id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(fmt.Errorf("reading a dead letter: %w", err))
	}
	l := newLetter(msg)
	return &l, nil
}

// known tells whether there is a consumer that would read a replay.
func (s *store) known(ctx context.Context, consumer string) (bool, error) {
	_, err := s.js.Consumer(ctx, outbox.Stream, consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	}
	if err != nil {
		return false, unavailable(fmt.Errorf("looking for consumer %s: %w", consumer, err))
	}
	return true, nil
}

// replay gives the event to its consumer and then removes the letter. What was done of
// it before is harmless.
func (s *store) replay(ctx context.Context, l *letter) error {
	if _, err := s.js.PublishMsg(ctx,
		consume.ReplayMessage(l.consumer, l.eventID, l.Sequence, l.Header, l.Data)); err != nil {
		return unavailable(fmt.Errorf("replaying event %s: %w", l.eventID, err))
	}
	return s.remove(ctx, l)
}

func (s *store) remove(ctx context.Context, l *letter) error {
	stream, err := s.stream(ctx)
	if err != nil {
		return err
	}
	if err := stream.DeleteMsg(ctx, l.Sequence); err != nil {
		if left, gerr := s.get(ctx, l.id()); gerr == nil && left == nil {
			return nil
		}
		return unavailable(fmt.Errorf("removing a dead letter: %w", err))
	}
	return nil
}
