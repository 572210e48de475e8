package bulk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// insertChunk is how many rows one statement writes.
const insertChunk = 1000

var errNotFound = errors.New("there is no such job")

const jobColumns = `job_id, kind, state, dry_run, header, delimiter, total, done, failed, created_by, created_at,
	ended_at, bucket, attempts`

func scanJob(r pgx.CollectableRow) (*job, error) {
	j := &job{}
	var header, comma string
	err := r.Scan(&j.id, &j.kind, &j.state, &j.dryRun, &header, &comma, &j.total, &j.done, &j.failed, &j.createdBy,
		&j.createdAt, &j.endedAt, &j.bucket, &j.attempts)
	if err != nil {
		return nil, err
	}
	j.comma, _ = utf8.DecodeRuneInString(comma)
	return j, json.Unmarshal([]byte(header), &j.header)
}

// jobs are those that a condition finds.
func jobs(ctx context.Context, q database.Querier, condition string, args ...any) ([]*job, error) {
	rows, err := q.Query(ctx, "SELECT "+jobColumns+" FROM bulk_jobs "+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading jobs: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanJob)
	if err != nil {
		return nil, fmt.Errorf("reading jobs: %w", err)
	}
	return found, nil
}

func oneJob(ctx context.Context, q database.Querier, condition string, args ...any) (*job, error) {
	found, err := jobs(ctx, q, condition, args...)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errNotFound
	}
	return found[0], nil
}

// get is a job of one of the kinds.
func get(ctx context.Context, q database.Querier, id uuid.UUID, kinds []string) (*job, error) {
	return oneJob(ctx, q, "WHERE job_id = $1 AND kind = ANY ($2)", id, kinds)
}

// lock is a job that stays as it is until the transaction ends. Nothing else is locked before it.
func lock(ctx context.Context, tx *database.Tx, id uuid.UUID) (*job, error) {
	return oneJob(ctx, tx, "WHERE job_id = $1 FOR UPDATE", id)
}

// position is a job's place in a list.
type position struct {
	at time.Time
	id uuid.UUID
}

// list is jobs of the kinds, newest first, behind a place.
func list(ctx context.Context, q database.Querier, kinds []string, after position, limit int) ([]*job, error) {
	return jobs(ctx, q, `WHERE (created_at, job_id) < ($1, $2) AND kind = ANY ($3)
		ORDER BY created_at DESC, job_id DESC LIMIT $4`, after.at, after.id, kinds, limit)
}

// due is a bucket's running jobs that may be worked on, oldest first, as many as a visit looks at.
func due(ctx context.Context, q database.Querier, bucket int64, now time.Time) ([]*job, error) {
	// The constant lets the planner use the partial index.
	return jobs(ctx, q, `WHERE state = 'RUNNING' AND bucket = $1 AND due_at <= $2 ORDER BY created_at, job_id LIMIT $3`,
		bucket, now, visitJobs)
}

// oldest is when the oldest running job of a bucket was created; zero if there is none.
func oldest(ctx context.Context, q database.Querier, bucket int64) (time.Time, error) {
	found, err := jobs(ctx, q, "WHERE state = 'RUNNING' AND bucket = $1 ORDER BY created_at, job_id LIMIT 1", bucket)
	if err != nil || len(found) == 0 {
		return time.Time{}, err
	}
	return found[0].createdAt, nil
}

func countRunning(ctx context.Context, q database.Querier) (n int64, err error) {
	if err := q.QueryRow(ctx, "SELECT count(*) FROM bulk_jobs WHERE state = 'RUNNING'").Scan(&n); err != nil {
		return 0, fmt.Errorf("counting jobs: %w", err)
	}
	return n, nil
}

// insert writes a new job and its rows.
func insert(ctx context.Context, tx *database.Tx, j *job, rows []row) error {
	header, err := json.Marshal(j.header)
	if err != nil {
		return fmt.Errorf("writing a job: %w", err)
	}
	var b pgx.Batch
	b.Queue(`INSERT INTO bulk_jobs (job_id, kind, state, dry_run, header, delimiter, total, created_by, created_at, bucket,
		due_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9)`,
		j.id, j.kind, j.state, j.dryRun, string(header), string(j.comma), j.total, j.createdBy, j.createdAt, j.bucket)
	for begin := 0; begin < len(rows); begin += insertChunk {
		chunk := rows[begin:min(begin+insertChunk, len(rows))]
		numbers, lines, cells := make([]int64, len(chunk)), make([]int64, len(chunk)), make([]string, len(chunk))
		for i, r := range chunk {
			raw, err := json.Marshal(r.cells)
			if err != nil {
				return fmt.Errorf("writing a job: %w", err)
			}
			numbers[i], lines[i], cells[i] = r.number, r.line, string(raw)
		}
		b.Queue(`INSERT INTO bulk_rows (job_id, number, line, cells, state) SELECT $1::uuid, number, line, cells, $2::text
			FROM unnest($3::bigint[], $4::bigint[], $5::text[]) AS r (number, line, cells)`,
			j.id, rowLeft, numbers, lines, cells)
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing a job: %w", err)
	}
	return nil
}

// rowsOf is a job's rows behind a number, in one state if it is not empty, in their order.
func rowsOf(
	ctx context.Context, q database.Querier, id uuid.UUID, state string, after int64, limit int,
) ([]row, error) {
	found, err := q.Query(ctx, `SELECT number, line, cells, state, code, reason, field, message, at FROM bulk_rows
		WHERE job_id = $1 AND number > $2 AND ($3::text = '' OR state = $3::text) ORDER BY number LIMIT $4`,
		id, after, state, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the rows of job %s: %w", id, err)
	}
	rows, err := pgx.CollectRows(found, func(r pgx.CollectableRow) (out row, err error) {
		var cells string
		err = r.Scan(&out.number, &out.line, &cells, &out.state, &out.code, &out.reason, &out.field, &out.message, &out.at)
		if err != nil {
			return row{}, err
		}
		return out, json.Unmarshal([]byte(cells), &out.cells)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the rows of job %s: %w", id, err)
	}
	return rows, nil
}

// answer writes a row's answer and counts it in its job, which is locked and ends with its last row.
func answer(ctx context.Context, tx *database.Tx, j *job, r row, at time.Time) error {
	if r.state == rowDone {
		j.done++
	} else {
		j.failed++
	}
	if j.done+j.failed == j.total {
		j.state, j.endedAt = ended, &at
	}
	var b pgx.Batch
	b.Queue(`UPDATE bulk_rows SET state = $3, code = $4, reason = $5, field = $6, message = $7, at = $8
		WHERE job_id = $1 AND number = $2`, j.id, r.number, r.state, r.code, r.reason, r.field, r.message, at)
	b.Queue(`UPDATE bulk_jobs SET state = $2, done = $3, failed = $4, ended_at = $5, attempts = 0 WHERE job_id = $1`,
		j.id, j.state, j.done, j.failed, j.endedAt)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing the answer of row %d of job %s: %w", r.number, j.id, err)
	}
	return nil
}

// postpone puts a job off whose next row has met a failure that passes.
func postpone(ctx context.Context, q database.Querier, j *job, until time.Time) error {
	_, err := q.Exec(ctx, `UPDATE bulk_jobs SET attempts = attempts + 1, due_at = $4
		WHERE job_id = $1 AND done = $2 AND failed = $3`, j.id, j.done, j.failed, until)
	if err != nil {
		return fmt.Errorf("putting job %s off: %w", j.id, err)
	}
	return nil
}

// cancel ends a job that is locked.
func cancel(ctx context.Context, tx *database.Tx, j *job, at time.Time) error {
	j.state, j.endedAt = cancelled, &at
	_, err := tx.Exec(ctx, "UPDATE bulk_jobs SET state = $2, ended_at = $3 WHERE job_id = $1", j.id, j.state, at)
	if err != nil {
		return fmt.Errorf("cancelling job %s: %w", j.id, err)
	}
	return nil
}

// removeOld deletes the oldest of a bucket's jobs that ended before a time, some of its rows at a time, and tells
// whether there may be more to delete.
func removeOld(ctx context.Context, q database.Querier, bucket int64, before time.Time) (bool, error) {
	// What was created later has not ended before.
	old, err := jobs(ctx, q, `WHERE created_at < $1 AND ended_at < $1 AND bucket = $2 ORDER BY created_at, job_id LIMIT 1`,
		before, bucket)
	if err != nil || len(old) == 0 {
		return false, err
	}
	id := old[0].id
	gone, err := q.Exec(ctx, `DELETE FROM bulk_rows WHERE job_id = $1 AND number IN
		(SELECT number FROM bulk_rows WHERE job_id = $1 ORDER BY number LIMIT $2)`, id, insertChunk)
	if err != nil {
		return false, fmt.Errorf("removing rows of job %s: %w", id, err)
	}
	if gone.RowsAffected() == insertChunk {
		return true, nil
	}
	if _, err := q.Exec(ctx, "DELETE FROM bulk_jobs WHERE job_id = $1", id); err != nil {
		return false, fmt.Errorf("removing job %s: %w", id, err)
	}
	return true, nil
}
