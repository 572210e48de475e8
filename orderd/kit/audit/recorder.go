package audit

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// completeTimeout bounds completing an entry, also after the caller went away.
const completeTimeout = 3 * time.Second

// Options of a Recorder. All but Registerer have to be set.
type Options struct {
	Pool  *pgxpool.Pool
	Clock func() time.Time
	// Random makes the entries' ids.
	Random     io.Reader
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Recorder writes entries.
type Recorder struct {
	store  store
	now    func() time.Time
	random io.Reader
	log    *slog.Logger
	// lost counts entries that stay Attempted though their call has ended.
	lost prometheus.Counter
}

// NewRecorder makes a recorder. An error is the registerer's.
func NewRecorder(o Options) (*Recorder, error) {
	r := &Recorder{
		store: store{o.Pool}, now: o.Clock, random: o.Random, log: o.Logger,
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_audit_outcomes_lost_total", Help: "Audit entries whose call's outcome could not be written.",
		}),
	}
	return r, metric.Register(o.Registerer, "audit", r.lost)
}

// Interceptor records the mutations of callers who act as staff. It belongs inside auth, which
// knows the caller, and inside the validation, whose refusals are no mutations.
func (r *Recorder) Interceptor() connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			caller, known := auth.CallerFrom(ctx)
			if !known || caller.Acting&auth.StaffRoles == 0 || spec.IdempotencyLevel == connect.IdempotencyNoSideEffects {
				return next(ctx, spec, stream)
			}
			s := &recordedStream{ServerStream: stream, ctx: ctx, recorder: r, entry: Entry{
				Subject: caller.Subject, Roles: caller.Acting.Names(), Procedure: spec.Procedure,
			}}
			err := next(ctx, spec, s)
			if s.attempted {
				r.complete(ctx, s.entry, err)
			}
			return err
		}
	}
}

// recordedStream writes the entry between the request's arrival and its handler.
type recordedStream struct {
	connect.ServerStream

	// ctx is the call's: Receive has none.
	ctx       context.Context
	recorder  *Recorder
	entry     Entry
	attempted bool
}

func (s *recordedStream) Receive(msg any) error {
	if err := s.ServerStream.Receive(msg); err != nil || s.attempted {
		return err
	}
	request, ok := msg.(proto.Message)
	if !ok {
		return rpcerr.Internal(fmt.Errorf("a %T is no protobuf message", msg))
	}
	entry, err := s.recorder.attempt(s.ctx, s.entry, request)
	if err != nil {
		return database.RPCError(fmt.Errorf("writing the audit entry: %w", err))
	}
	s.entry, s.attempted = entry, true
	return nil
}

func (r *Recorder) attempt(ctx context.Context, e Entry, request proto.Message) (Entry, error) {
	var err error
	if e.ID, err = uuid.NewRandomFromReader(r.random); err != nil {
		return Entry{}, fmt.Errorf("making its id: %w", err)
	}
	if e.Request, err = requestJSON(request); err != nil {
		return Entry{}, err
	}
	e.At, e.RequestID, e.Outcome = r.now().Truncate(time.Microsecond), requestID(request), Attempted
	return e, r.store.insert(ctx, e)
}

// complete does not fail the call, which has had its effect: the entry says by itself
// that its end is missing.
func (r *Recorder) complete(ctx context.Context, e Entry, result error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), completeTimeout)
	defer cancel()
	e.Outcome, e.Reason = outcomeOf(result)
	e.CompletedAt = r.now().Truncate(time.Microsecond)
	if err := r.store.complete(ctx, e); err != nil {
		r.lost.Inc()
		r.log.Warn("the outcome of an audit entry was not written", "entry", e.ID, "procedure", e.Procedure, "outcome",
			e.Outcome, "error", err)
	}
}
