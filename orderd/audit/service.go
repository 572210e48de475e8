package audit

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	auditv1 "github.com/orderd-dev/orderd/api/gen/orderd/audit/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/audit/v1/auditv1connect"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const defaultPageSize = 20

// Service is the handler of AuditService. Requests reach it validated.
type Service struct {
	auditv1connect.UnimplementedAuditServiceHandler

	store store
}

// NewService takes the database.
func NewService(pool *pgxpool.Pool) *Service { return &Service{store: store{pool}} }

// ListAuditEntries returns a page of entries, newest first.
func (s *Service) ListAuditEntries(ctx context.Context, req *auditv1.ListAuditEntriesRequest) (*auditv1.ListAuditEntriesResponse, error) {
	below := newest()
	if token := req.GetPageToken(); token != "" {
		var ok bool
		if below, ok = parsePageToken(token); !ok {
			return nil, rpcerr.New(connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN", "page_token is not from an answer of ListAuditEntries", "field", "page_token")
		}
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPageSize
	}
	// One more than asked for tells whether there is a next page.
	entries, err := s.store.list(ctx, req.GetSubject(), below, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &auditv1.ListAuditEntriesResponse{}
	if len(entries) > size {
		entries = entries[:size]
		answer.NextPageToken = pageToken(position{entries[size-1].At, entries[size-1].ID})
	}
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

// tokenBytes of a page token: the microseconds since 1970, and the id.
const tokenBytes = 8 + len(uuid.UUID{})

// newest is after every entry there can be.
func newest() position {
	return position{at: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), id: uuid.Max}
}

func pageToken(p position) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(p.at.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(raw, p.id[:]...))
}

// parsePageToken takes what pageToken makes of times between 1970 and newest.
func parsePageToken(token string) (position, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != tokenBytes {
		return position{}, false
	}
	micros := binary.BigEndian.Uint64(raw)
	if micros > uint64(newest().at.UnixMicro()) {
		return position{}, false
	}
	return position{at: time.UnixMicro(int64(micros)).UTC(), id: uuid.UUID(raw[8:])}, true
}
