package bulk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/rescue"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
)

const (
	// workInterval is between two visits to a bucket, and visitRows how many rows one does of all its jobs, in turns: a
	// job has that many a second, a bucket has no more, and the database has the more for orders.
	workInterval = time.Second
	visitRows    = 50
	// visitJobs of a bucket are looked at in a visit.
	visitJobs  = 100
	rowTimeout = 5 * time.Second
	// maxInternal is how often a row is tried that meets a mistake of orderd's.
	maxInternal = 5
	// keep is how long a job that has ended is kept, and cleanInterval between looks for older ones.
	keep          = 90 * 24 * time.Hour
	cleanInterval = time.Hour
)

// retry is the wait after a failure that passes.
var retry = backoff.Policy{First: 500 * time.Millisecond, Max: time.Minute}

// errDry undoes a row of a dry run.
var errDry = errors.New("a dry run")

// WorkerOptions of a Worker. Pool, Orders, Shipments, Clock, Worker and Logger have to be set.
type WorkerOptions struct {
	lease.WorkerOptions

	Pool      *pgxpool.Pool
	Orders    *order.Store
	Shipments *shipment.Store
	Clock     func() time.Time
	// VisitRows is how many rows a bucket of jobs does an interval; 50 if zero.
	VisitRows int
	// RowTimeout bounds a row's transaction, which may have to wait for its order; 5 seconds if zero.
	RowTimeout time.Duration
}

// Worker does the rows of running jobs, and deletes old jobs.
type Worker struct {
	pool      *pgxpool.Pool
	domains   domains
	now       func() time.Time
	visitRows int
	timeout   time.Duration
	log       *slog.Logger
	loop      *lease.Loop
	metrics   *metrics

	mu sync.Mutex
	// turns counts the visits to each bucket, cleaned has when it was last looked for old jobs.
	turns   map[int64]int
	cleaned map[int64]time.Time
}

// NewWorker makes a worker; Run starts it. An error is the registerer's.
func NewWorker(o WorkerOptions) (*Worker, error) {
	w := &Worker{
		pool: o.Pool, domains: domains{orders: o.Orders, shipments: o.Shipments}, now: o.Clock,
		visitRows: cmp.Or(o.VisitRows, visitRows), timeout: cmp.Or(o.RowTimeout, rowTimeout), log: o.Logger,
		turns: map[int64]int{}, cleaned: map[int64]time.Time{},
	}
	var err error
	w.loop, err = o.NewLoop(o.Pool, o.Clock, lease.Job{Kind: "bulk", Interval: workInterval, Work: w.work})
	if err != nil {
		return nil, err
	}
	w.metrics, err = newMetrics(o.Registerer, o.Clock, w.loop.Held)
	return w, err
}

// Run works until ctx ends and returns nil.
func (w *Worker) Run(ctx context.Context) error { return w.loop.Run(ctx) }

// work does some rows of a bucket's jobs, a row of each in turns. It never says that there is more: the interval is
// what bounds its rate.
func (w *Worker) work(ctx context.Context, bucket int64) (bool, error) {
	since, err := oldest(ctx, w.pool, bucket)
	if err != nil {
		return false, err
	}
	w.metrics.saw(bucket, since)
	if err := w.clean(ctx, bucket); err != nil && ctx.Err() == nil {
		w.log.Warn("old bulk jobs were not deleted, which is tried again", "error", err)
	}
	if since.IsZero() {
		return false, nil
	}
	jobs, err := due(ctx, w.pool, bucket, w.now())
	if err != nil || len(jobs) == 0 {
		return false, err
	}
	// Where a visit does not come to all of them, another job is the first each time.
	first := w.turn(bucket) % len(jobs)
	jobs = slices.Concat(jobs[first:], jobs[:first])
	for left := w.visitRows; left > 0 && len(jobs) > 0; left-- {
		j := jobs[0]
		jobs = jobs[1:]
		more, err := w.do(ctx, j)
		if err != nil {
			return false, err
		}
		if more {
			jobs = append(jobs, j)
		}
	}
	return false, nil
}

func (w *Worker) turn(bucket int64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turns[bucket]++
	return w.turns[bucket] - 1
}

// do does a job's next row and tells whether the job can go on at once. A failure that passes puts the job off and
// nothing else.
func (w *Worker) do(ctx context.Context, j *job) (bool, error) {
	working, end := context.WithTimeout(ctx, w.timeout)
	more, err := w.next(working, j)
	end()
	if err == nil || ctx.Err() != nil {
		return more, err
	}
	w.metrics.retries.Inc()
	delay := retry.Delay(int(j.attempts) + 1)
	w.log.Warn("a row of a bulk job is tried again", "job", j.id, "row", j.next(), "error", err, "in", delay)
	return false, postpone(ctx, w.pool, j, w.now().Add(delay))
}

// rowError is what a row's effect has met.
type rowError struct {
	row   row
	cause error
}

func (e *rowError) Error() string { return fmt.Sprintf("row %d: %v", e.row.number, e.cause) }

func (e *rowError) Unwrap() error { return e.cause }

// next makes the effect and the answer of a job's next row, and leaves the job in j as it is then.
func (w *Worker) next(ctx context.Context, j *job) (bool, error) {
	var message string
	after, err := database.QueryTx(ctx, w.pool, func(tx *database.Tx) (*job, error) {
		locked, r, err := w.lockNext(ctx, tx, j)
		if err != nil || locked.state != running {
			return locked, err
		}
		message, err = rescue.Do(func() (string, error) { return w.effect(ctx, tx, locked, r) })
		if err == nil && locked.dryRun {
			err = errDry
		}
		if err != nil {
			return nil, &rowError{r, err}
		}
		return locked, w.answer(ctx, tx, locked, r, rowDone, message)
	})
	var met *rowError
	if errors.As(err, &met) {
		after, err = w.undone(ctx, j, met, message)
	}
	if err != nil {
		return false, err
	}
	*j = *after
	return j.state == running, nil
}

// lockNext locks a job and reads its next row, if it is running.
func (w *Worker) lockNext(ctx context.Context, tx *database.Tx, j *job) (*job, row, error) {
	locked, err := lock(ctx, tx, j.id)
	if err != nil || locked.state != running {
		return locked, row{}, err
	}
	// What a failure postpones is this row.
	*j = *locked
	rows, err := rowsOf(ctx, tx, locked.id, rowLeft, locked.next()-1, 1)
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("job %s has no row %d", locked.id, locked.next())
	}
	if err != nil {
		return nil, row{}, err
	}
	return locked, rows[0], nil
}

// effect makes a row's change.
func (w *Worker) effect(ctx context.Context, tx *database.Tx, j *job, r row) (string, error) {
	k := kindNamed(j.kind)
	if k == nil {
		return "", fmt.Errorf("job %s is of no kind: %q", j.id, j.kind)
	}
	columns, err := k.columns(j.header)
	if err != nil {
		return "", err
	}
	do, err := k.plan(values{columns: columns, cells: r.cells})
	if err != nil {
		return "", err
	}
	return do(ctx, tx, w.domains, by{
		actor: auth.ActorStaff + " " + j.createdBy, subject: j.createdBy, ref: fmt.Sprintf("bulk:%s/%d", j.id, r.number),
		reason: fmt.Sprintf("bulk job %s, row %d", j.id, r.number), at: w.now(),
	})
}

// undone gives a row its answer that was rolled back, because it was refused or only tried. Nobody else has done the
// row meanwhile, or nothing happens. An error is a failure that passes.
func (w *Worker) undone(ctx context.Context, j *job, met *rowError, message string) (*job, error) {
	r, state := met.row, rowDone
	if !errors.Is(met.cause, errDry) {
		refused, ok := w.refusal(j, met.cause)
		if !ok {
			return nil, met
		}
		state, message = rowFailed, refused.Message()
		r.code, r.reason = strings.ToUpper(refused.Code().String()), rpcerr.Reason(refused)
		r.field = rpcerr.Metadata(refused)["field"]
	}
	return database.QueryTx(ctx, w.pool, func(tx *database.Tx) (*job, error) {
		locked, err := lock(ctx, tx, j.id)
		if err != nil || locked.state != running || locked.next() != r.number {
			return locked, err
		}
		return locked, w.answer(ctx, tx, locked, r, state, message)
	})
}

// refusal is what a row is answered for an error, and whether the error is about the row and does not pass.
func (w *Worker) refusal(j *job, cause error) (*connect.Error, bool) {
	k := kindNamed(j.kind)
	if k == nil {
		return nil, false
	}
	if database.Busy(cause) {
		return nil, false
	}
	refused := rpcerr.From(k.explain(cause))
	switch refused.Code() {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeCanceled, connect.CodeAborted:
		return nil, false
	case connect.CodeInternal:
		// A mistake of ours may be gone with the next version, but must not hold a job for ever.
		if j.attempts+1 < maxInternal {
			return nil, false
		}
		w.log.Error("a row of a bulk job is given up", "job", j.id, "row", j.next(), "error", cause)
	}
	return refused, true
}

func (w *Worker) answer(ctx context.Context, tx *database.Tx, j *job, r row, state, message string) error {
	r.state, r.message = state, message
	tx.AfterCommit(func() { w.metrics.rows.WithLabelValues(j.kind, state).Inc() })
	return answer(ctx, tx, j, r, database.Stamp(w.now()))
}

// clean deletes some of a bucket's old jobs, if it was not looked for them lately.
func (w *Worker) clean(ctx context.Context, bucket int64) error {
	now := w.now()
	w.mu.Lock()
	last, known := w.cleaned[bucket]
	w.mu.Unlock()
	if known && now.Sub(last) < cleanInterval {
		return nil
	}
	more, err := removeOld(ctx, w.pool, bucket, now.Add(-keep))
	if err != nil || more {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cleaned[bucket] = now
	return nil
}
