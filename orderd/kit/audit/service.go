package audit

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	auditv1 "github.com/orderd-dev/orderd/api/gen/orderd/audit/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/audit/v1/auditv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/page"
)

const defaultPageSize = 20

// Service is the handler of AuditService. Requests reach it validated.
type Service struct {
	auditv1connect.UnimplementedAuditServiceHandler

	store    store
	recorder *Recorder
}

// ServiceOptions of a [Service]. All have to be set.
type ServiceOptions struct {
	Pool *pgxpool.Pool
	// Recorder is the one of this process.
	Recorder *Recorder
}

// NewService makes the handler.
func NewService(o ServiceOptions) *Service {
	return &Service{store: store{o.Pool}, recorder: o.Recorder}
}

// ListAuditEntries returns a page of entries, newest first, with the outcomes of all that this process has answered.
func (s *Service) ListAuditEntries(
	ctx context.Context, req *auditv1.ListAuditEntriesRequest,
) (*auditv1.ListAuditEntriesResponse, error) {
	// Newer than every entry there can be.
	below := position{at: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), id: uuid.Max}
	if _, err := page.Parse(req.GetPageToken(), &below.at, &below.id); err != nil {
		return nil, err
	}
	s.recorder.Flush(ctx)
	size := page.Size(req.GetPageSize(), defaultPageSize)
	// One more than asked for tells whether there is a next page.
	entries, err := s.store.list(ctx, req.GetSubject(), below, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &auditv1.ListAuditEntriesResponse{}
	entries, answer.NextPageToken = page.Cut(entries, size, func(last Entry) []any { return []any{last.At, last.ID} })
	for _, e := range entries {
		answer.Entries = append(answer.Entries, e.proto())
	}
	return answer, nil
}

// position is an entry's place in the order of the table.
type position struct {
	at time.Time
	id uuid.UUID
}
