// Package bulk does what each row of a file says: parcels that have left, orders that are closed, tags, notes and
// stock.
//
// What holds:
//   - A row has its effect at most once. Its effect, its answer and the job's counts are one transaction, which has
//     locked the job before anything else and does the row behind the last one that has an answer.
//   - A row that is refused has changed nothing, says why, and does not stop the job. A database that is away or busy
//     is no answer: the row is done again later.
//   - A dry run makes each row's transaction and rolls it back, so that it finds what the row itself would find.
//   - What a file has comes back as it was, also through a spreadsheet.
package bulk

import (
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	bulkv1 "github.com/orderd-dev/orderd/api/gen/orderd/bulk/v1"
	"github.com/orderd-dev/orderd/orderd/kit/pb"
)

// The states of a job and of a row, as they are stored. JOB_STATE_ and ROW_STATE_ before one make its name in the API.
const (
	running   = "RUNNING"
	ended     = "DONE"
	cancelled = "CANCELLED"

	rowLeft   = "LEFT"
	rowDone   = "DONE"
	rowFailed = "FAILED"
)

// job is a job as it is stored.
type job struct {
	id     uuid.UUID
	kind   string
	state  string
	dryRun bool
	header []string
	// comma stands between the cells of its file.
	comma               rune
	total, done, failed int64
	// createdBy is a token's subject.
	createdBy string
	createdAt time.Time
	endedAt   *time.Time
	bucket    int64
	// attempts of its next row have met a failure that passes.
	attempts int64
}

// next is the number of the row that has no answer and comes first.
func (j *job) next() int64 { return j.done + j.failed + 1 }

// row is a row as it is stored.
type row struct {
	// number is from 1; line is where it begins in the file.
	number, line                 int64
	cells                        []string
	state                        string
	code, reason, field, message string
	at                           *time.Time
}

func (j *job) proto() *bulkv1.Job {
	return &bulkv1.Job{
		JobId:     j.id.String(),
		Kind:      bulkv1.JobKind(bulkv1.JobKind_value[kindPrefix+j.kind]),
		State:     bulkv1.JobState(bulkv1.JobState_value["JOB_STATE_"+j.state]),
		DryRun:    j.dryRun,
		CreatedBy: j.createdBy,
		CreatedAt: timestamppb.New(j.createdAt),
		EndedAt:   pb.Time(j.endedAt),
		Rows:      j.total,
		Done:      j.done,
		Failed:    j.failed,
		Left:      j.total - j.done - j.failed,
		Columns:   j.header,
	}
}

const rowStatePrefix = "ROW_STATE_"

func (r *row) proto() *bulkv1.JobRow {
	return &bulkv1.JobRow{
		Row:     r.number,
		Line:    r.line,
		State:   bulkv1.RowState(bulkv1.RowState_value[rowStatePrefix+r.state]),
		Cells:   r.cells,
		Code:    r.code,
		Reason:  r.reason,
		Field:   r.field,
		Message: r.message,
		At:      pb.Time(r.at),
	}
}

// stateName is a row's state as it is stored; empty for any.
func stateName(s bulkv1.RowState) string {
	if s == bulkv1.RowState_ROW_STATE_UNSPECIFIED {
		return ""
	}
	return strings.TrimPrefix(s.String(), rowStatePrefix)
}
