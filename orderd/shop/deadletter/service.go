package deadletter

import (
	"context"
	"log/slog"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	deadletterv1 "github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1/deadletterv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const defaultPageSize = 20

// Options of a Service; all are needed.
type Options struct {
	JetStream jetstream.JetStream
	// Replicas of the stream, where this is the first to need it.
	Replicas int
	// Pool has the request ids.
	Pool   *pgxpool.Pool
	Clock  func() time.Time
	Logger *slog.Logger
}

// Service is the handler of DeadLetterService. Requests reach it validated.
type Service struct {
	deadletterv1connect.UnimplementedDeadLetterServiceHandler

	store *store
	pool  *pgxpool.Pool
	now   func() time.Time
	log   *slog.Logger
}

// NewService does no I/O.
func NewService(o Options) *Service {
	return &Service{
		store: &store{js: o.JetStream, replicas: o.Replicas, log: o.Logger}, pool: o.Pool, now: o.Clock, log: o.Logger,
	}
}

// ListDeadLetters returns a page of dead letters by their sequence.
func (s *Service) ListDeadLetters(
	ctx context.Context, req *deadletterv1.ListDeadLettersRequest,
) (*deadletterv1.ListDeadLettersResponse, error) {
	from := uint64(1)
	if _, err := page.Parse(req.GetPageToken(), &from); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	// One more than asked for tells whether there is a next page.
	letters, err := s.store.list(ctx, req.GetConsumer(), from, size+1)
	if err != nil {
		return nil, err
	}
	answer := &deadletterv1.ListDeadLettersResponse{}
	letters, answer.NextPageToken = page.Cut(letters, size, func(last letter) []any { return []any{last.Sequence + 1} })
	for _, l := range letters {
		answer.DeadLetters = append(answer.DeadLetters, l.proto())
	}
	return answer, nil
}

// GetDeadLetter returns a dead letter with its event.
func (s *Service) GetDeadLetter(
	ctx context.Context, req *deadletterv1.GetDeadLetterRequest,
) (*deadletterv1.GetDeadLetterResponse, error) {
	l, err := s.store.get(ctx, req.GetDeadLetterId())
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, notFound()
	}
	return &deadletterv1.GetDeadLetterResponse{
		DeadLetter: l.proto(),
		Headers:    l.headers(),
		EventJson:  l.eventJSON(),
		Data:       l.Data,
	}, nil
}

// ReplayDeadLetter gives an event to its consumer once more.
func (s *Service) ReplayDeadLetter(
	ctx context.Context, req *deadletterv1.ReplayDeadLetterRequest,
) (*deadletterv1.ReplayDeadLetterResponse, error) {
	answer := &deadletterv1.ReplayDeadLetterResponse{}
	l, err := s.store.get(ctx, req.GetDeadLetterId())
	if err != nil {
		return nil, err
	}
	if l != nil {
		if l.consumer == prepare.MaterializerConsumer {
			return nil, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonNotReplayable,
				"an order that could not be written gave its stock back, and is never written", "consumer", l.consumer)
		}
		known, err := s.store.known(ctx, l.consumer)
		if err != nil {
			return nil, err
		}
		if !known {
			return nil, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonConsumerUnknown,
				"there is no such consumer any more", "consumer", l.consumer)
		}
		answer.DeadLetter = l.proto()
	}
	if err := s.claim(ctx, req.GetRequestId(), req, answer, l != nil); err != nil {
		return nil, err
	}
	if l == nil {
		return answer, nil
	}
	if err := s.store.replay(ctx, l); err != nil {
		return nil, err
	}
	s.log.Info("a dead letter is replayed", "consumer", l.consumer, "event", l.eventID, "deadLetter", l.id())
	return answer, nil
}

// DiscardDeadLetter deletes a dead letter.
func (s *Service) DiscardDeadLetter(
	ctx context.Context, req *deadletterv1.DiscardDeadLetterRequest,
) (*deadletterv1.DiscardDeadLetterResponse, error) {
	answer := &deadletterv1.DiscardDeadLetterResponse{}
	l, err := s.store.get(ctx, req.GetDeadLetterId())
	if err != nil {
		return nil, err
	}
	if l != nil {
		answer.DeadLetter = l.proto()
	}
	if err := s.claim(ctx, req.GetRequestId(), req, answer, l != nil); err != nil {
		return nil, err
	}
	if l == nil {
		return answer, nil
	}
	if err := s.store.remove(ctx, l); err != nil {
		return nil, err
	}
	s.log.Info("a dead letter is discarded", "consumer", l.consumer, "event", l.eventID, "deadLetter", l.id())
	return answer, nil
}

// claim stores the request before its effect, which may be repeated. A retry gets the first answer,
// also where the effect has removed the letter.
func (s *Service) claim(ctx context.Context, requestID string, req, answer proto.Message, there bool) error {
	request, err := idempotency.NewRequest(idempotency.StaffScope, requestID, req)
	if err != nil {
		return rpcerr.Internal(err)
	}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		if !there {
			return notFound()
		}
		var b pgx.Batch
		if err := request.Claim(&b, s.now(), answer); err != nil {
			return err
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	return database.RPCError(err)
}
