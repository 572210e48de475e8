package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/batch"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	// completeTimeout bounds completing an entry, which its caller does not wait for.
	completeTimeout = 3 * time.Second
	// maxWaiting calls of a process wait for their entry, or its end, to be written; more are refused.
	maxWaiting = 4096
	// maxTogether are written in one transaction, and transactionTimeout bounds it: a backend that acts for
	// all buyers makes as many entries as it makes calls.
	maxTogether        = 128
	transactionTimeout = 10 * time.Second
	// fullRetry is what calls that are refused are asked to wait on average.
	fullRetry = 750 * time.Millisecond
)

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
	// begins are entries before their calls, ends those after them.
	begins, ends *batch.Batcher[Entry, struct{}]

	now    func() time.Time
	random io.Reader
	log    *slog.Logger
	// lost counts entries that stay Attempted though their call has ended.
	lost prometheus.Counter

	mu sync.Mutex
	// ending are the entries whose end is being written; each is closed then.
	ending map[chan struct{}]struct{}
}

// NewRecorder makes a recorder. An error is the registerer's.
func NewRecorder(o Options) (*Recorder, error) {
	s := store{o.Pool}
	r := &Recorder{
		begins: together(s.insert), ends: together(s.complete), now: o.Clock, random: o.Random, log: o.Logger,
		ending: map[chan struct{}]struct{}{},
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_audit_outcomes_lost_total", Help: "Audit entries whose call's outcome could not be written.",
		}),
	}
	return r, metric.Register(o.Registerer, "audit", r.lost)
}

// together writes entries that come at once in one transaction.
func together(write func(context.Context, []Entry) error) *batch.Batcher[Entry, struct{}] {
	options := batch.Options{
		Limit: maxWaiting, Size: maxTogether, Parallel: 2, Beside: maxTogether / 2, Timeout: transactionTimeout,
	}
	return batch.New(options, func(ctx context.Context, entries []Entry) ([]batch.Result[struct{}], error) {
		return make([]batch.Result[struct{}], len(entries)), write(ctx, entries)
	})
}

// Interceptor records the mutations of everybody but buyers who act for themselves, whom it costs
// nothing, and that staff read personal data of buyers. It belongs inside auth, which knows the
// caller, and inside the validation, whose refusals are no mutations. Of a stream it would record the
// first request only: no RPC that it is put around is a stream of mutations, which the tests of auth
// look after.
func (r *Recorder) Interceptor() connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			caller, known := auth.CallerFrom(ctx)
			reads := spec.IdempotencyLevel == connect.IdempotencyNoSideEffects
			shown := caller.Personal && caller.Acting&auth.StaffRoles != 0
			if !known || caller.AsBuyer() || reads && !shown {
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
	_, err = r.begins.Do(ctx, e)
	if errors.Is(err, batch.ErrFull) {
		// Callers do not come back at once: ids are random.
		after := fullRetry/2 + fullRetry*time.Duration(e.ID[0])/math.MaxUint8
		const text = "too many changes wait to be audited; retry with the same request id"
		err = rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonOverloaded, text, after)
	}
	return e, err
}

// complete has the end written. The call does not wait for it, and is not failed by it: it has had its effect, and the
// entry says by itself that its end is missing.
func (r *Recorder) complete(ctx context.Context, e Entry, result error) {
	e.Outcome, e.Reason = outcomeOf(result)
	e.CompletedAt = r.now().Truncate(time.Microsecond)
	written := make(chan struct{})
	r.mu.Lock()
	r.ending[written] = struct{}{}
	r.mu.Unlock()
	go func() {
		r.end(context.WithoutCancel(ctx), e)
		close(written)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.ending, written)
	}()
}

// Flush waits until the entries of all calls that have ended so far are complete, or ctx is done. Each takes 3 s at
// most.
func (r *Recorder) Flush(ctx context.Context) {
	r.mu.Lock()
	ending := slices.Collect(maps.Keys(r.ending))
	r.mu.Unlock()
	for _, written := range ending {
		select {
		case <-written:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Recorder) end(ctx context.Context, e Entry) {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	if _, err := r.ends.Do(ctx, e); err != nil {
		r.lost.Inc()
		r.log.Warn("the outcome of an audit entry was not written", "entry", e.ID, "procedure", e.Procedure, "outcome",
			e.Outcome, "error", err)
	}
}
