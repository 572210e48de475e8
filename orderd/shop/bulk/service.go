package bulk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	bulkv1 "github.com/orderd-dev/orderd/api/gen/orderd/bulk/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	defaultJobs = 20
	defaultRows = 50
	// exportRows are in one piece of a file.
	exportRows = 1000
	// maxRunning jobs may be under way; a few more where several are created at the same moment.
	maxRunning = 100
)

// Options of a Service. All have to be set.
type Options struct {
	Pool  *pgxpool.Pool
	Clock func() time.Time
	// Random makes ids: crypto/rand.Reader.
	Random io.Reader
}

// Service is the handler of BulkService. Requests reach it validated.
type Service struct {
	pool   *pgxpool.Pool
	now    func() time.Time
	random io.Reader
}

// NewService makes the handler.
func NewService(o Options) *Service { return &Service{pool: o.Pool, now: o.Clock, random: o.Random} }

// CreateJob reads a file and begins its job, once a request id.
func (s *Service) CreateJob(ctx context.Context, req *bulkv1.CreateJobRequest) (*bulkv1.CreateJobResponse, error) {
	caller, _ := auth.CallerFrom(ctx)
	k, err := allowed(caller.Acting, req.GetKind())
	if err != nil {
		return nil, err
	}
	d, err := parse(req.GetCsv(), k)
	if err != nil {
		return nil, rpcError(err)
	}
	id, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return nil, rpcError(fmt.Errorf("job id: %w", err))
	}
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, rpcError(err)
	}
	now := database.Stamp(s.now())
	answer, err := idempotency.Once(ctx, s.pool, request, now, func(tx *database.Tx) (*bulkv1.CreateJobResponse, error) {
		n, err := countRunning(ctx, tx)
		if err != nil {
			return nil, err
		}
		if n >= maxRunning {
			return nil, rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyJobs,
				"too many jobs are running", "most", strconv.Itoa(maxRunning))
		}
		j := &job{
			id: id, kind: k.name, state: running, dryRun: req.GetDryRun(), header: d.header, comma: d.comma,
			total: int64(len(d.rows)), createdBy: caller.Subject, createdAt: now, bucket: lease.Bucket(id),
		}
		return &bulkv1.CreateJobResponse{Job: j.proto()}, insert(ctx, tx, j, d.rows)
	})
	if err != nil {
		return nil, rpcError(err)
	}
	return answer, nil
}

// GetJob returns a job that the caller may see.
func (s *Service) GetJob(ctx context.Context, req *bulkv1.GetJobRequest) (*bulkv1.GetJobResponse, error) {
	j, err := s.visible(ctx, req.GetJobId())
	if err != nil {
		return nil, rpcError(err)
	}
	return &bulkv1.GetJobResponse{Job: j.proto()}, nil
}

// visible is a job of a kind that the caller may do.
func (s *Service) visible(ctx context.Context, id string) (*job, error) {
	caller, _ := auth.CallerFrom(ctx)
	parsed, err := uuid.Parse(id)
	if err != nil {
		return nil, errNotFound
	}
	return get(ctx, s.pool, parsed, seen(caller.Acting))
}

// ListJobs returns a page of the jobs that the caller may see.
func (s *Service) ListJobs(ctx context.Context, req *bulkv1.ListJobsRequest) (*bulkv1.ListJobsResponse, error) {
	caller, _ := auth.CallerFrom(ctx)
	// Later than any job.
	after := position{at: time.Unix(1<<36, 0).UTC(), id: uuid.Max}
	if _, err := page.Parse(req.GetPageToken(), &after.at, &after.id); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultJobs)
	found, err := list(ctx, s.pool, seen(caller.Acting), after, size+1)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &bulkv1.ListJobsResponse{}
	found, answer.NextPageToken = page.Cut(found, size, func(last *job) []any { return []any{last.createdAt, last.id} })
	for _, j := range found {
		answer.Jobs = append(answer.Jobs, j.proto())
	}
	return answer, nil
}

// ListJobRows returns a page of a job's rows.
func (s *Service) ListJobRows(
	ctx context.Context, req *bulkv1.ListJobRowsRequest,
) (*bulkv1.ListJobRowsResponse, error) {
	size := page.Size(req.GetPageSize(), defaultRows)
	_, found, next, err := s.rows(ctx, req.GetJobId(), req.GetState(), req.GetPageToken(), size)
	if err != nil {
		return nil, err
	}
	answer := &bulkv1.ListJobRowsResponse{NextPageToken: next}
	for i := range found {
		answer.Rows = append(answer.Rows, found[i].proto())
	}
	return answer, nil
}

// ExportJob returns a piece of a job's file.
func (s *Service) ExportJob(ctx context.Context, req *bulkv1.ExportJobRequest) (*bulkv1.ExportJobResponse, error) {
	j, found, next, err := s.rows(ctx, req.GetJobId(), req.GetState(), req.GetPageToken(), exportRows)
	if err != nil {
		return nil, err
	}
	d := document{comma: j.comma, header: j.header, rows: found}
	var out bytes.Buffer
	if req.GetPageToken() == "" {
		d.writeHeader(&out)
	}
	if err := d.writeRows(&out); err != nil {
		return nil, rpcError(err)
	}
	return &bulkv1.ExportJobResponse{Csv: out.Bytes(), NextPageToken: next}, nil
}

// rows is a page of the rows of a job that the caller may see.
func (s *Service) rows(
	ctx context.Context, id string, state bulkv1.RowState, token string, size int,
) (j *job, found []row, next string, err error) {
	var after int64
	if _, err := page.Parse(token, &after); err != nil {
		return nil, nil, "", err
	}
	if j, err = s.visible(ctx, id); err != nil {
		return nil, nil, "", rpcError(err)
	}
	if found, err = rowsOf(ctx, s.pool, j.id, stateName(state), after, size+1); err != nil {
		return nil, nil, "", rpcError(err)
	}
	found, next = page.Cut(found, size, func(last row) []any { return []any{last.number} })
	return j, found, next, j.mask(ctx, found)
}

// mask leaves of rows the cells of the kind's own columns, for those of the staff who do not need to know who buyers
// are: a colleague's file may have names and addresses beside them. Their own files they know.
func (j *job) mask(ctx context.Context, rows []row) error {
	c, _ := auth.CallerFrom(ctx)
	k := kindNamed(j.kind)
	if auth.KnowsBuyers(ctx) || c.Acting&auth.ServiceRoles != 0 || c.Subject == j.createdBy || k == nil {
		return nil
	}
	columns, err := k.columns(j.header)
	if err != nil {
		return err
	}
	own := slices.Collect(maps.Values(columns))
	for _, r := range rows {
		for i := range r.cells {
			if !slices.Contains(own, i) {
				r.cells[i] = ""
			}
		}
	}
	return nil
}

// CancelJob ends a running job between two of its rows, once a request id.
func (s *Service) CancelJob(ctx context.Context, req *bulkv1.CancelJobRequest) (*bulkv1.CancelJobResponse, error) {
	j, err := s.visible(ctx, req.GetJobId())
	if err != nil {
		return nil, rpcError(err)
	}
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, rpcError(err)
	}
	now := database.Stamp(s.now())
	answer, err := idempotency.Once(ctx, s.pool, request, now, func(tx *database.Tx) (*bulkv1.CancelJobResponse, error) {
		locked, err := lock(ctx, tx, j.id)
		if err != nil {
			return nil, err
		}
		if locked.state == running {
			err = cancel(ctx, tx, locked, now)
		}
		return &bulkv1.CancelJobResponse{Job: locked.proto()}, err
	})
	if err != nil {
		return nil, rpcError(err)
	}
	return answer, nil
}

func rpcError(err error) error {
	if errors.Is(err, errNotFound) {
		return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonJobNotFound, "there is no such job")
	}
	return database.RPCError(err)
}
