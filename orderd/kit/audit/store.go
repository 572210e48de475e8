package audit

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

type store struct{ pool *pgxpool.Pool }

// insert can be repeated: an entry whose commit's outcome was not known is there once.
func (s store) insert(ctx context.Context, entries []Entry) error {
	c := columnsOf(entries)
	return database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		// Lists of lists of different lengths are no array.
		_, err := tx.Exec(ctx,
			`INSERT INTO audit_entries (at, entry_id, subject, roles, procedure, request_id, request, outcome)
			SELECT at, entry_id, subject, string_to_array(roles, ','), procedure, request_id, request, outcome
			FROM unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
				AS e (at, entry_id, subject, roles, procedure, request_id, request, outcome)
			ON CONFLICT (at, entry_id) DO NOTHING`,
			c.ats, c.ids, c.subjects, c.roles, c.procedures, c.requestIDs, c.requests, c.outcomes)
		return err
	})
}

// complete says how the entries' calls ended.
func (s store) complete(ctx context.Context, entries []Entry) error {
	c := columnsOf(entries)
	return database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		_, err := tx.Exec(ctx,
			`UPDATE audit_entries AS a SET outcome = e.outcome, reason = e.reason, completed_at = e.completed_at
			FROM unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[])
				AS e (at, entry_id, outcome, reason, completed_at)
			WHERE a.at = e.at AND a.entry_id = e.entry_id`, c.ats, c.ids, c.outcomes, c.reasons, c.completedAts)
		return err
	})
}

// columns are entries as statements take them.
type columns struct {
	ats, completedAts                                                    []time.Time
	ids                                                                  []uuid.UUID
	subjects, roles, procedures, requestIDs, requests, outcomes, reasons []string
}

func columnsOf(entries []Entry) columns {
	var c columns
	for _, e := range entries {
		c.ats, c.completedAts, c.ids = append(c.ats, e.At), append(c.completedAts, e.CompletedAt), append(c.ids, e.ID)
		c.subjects, c.roles = append(c.subjects, e.Subject), append(c.roles, strings.Join(e.Roles, ","))
		c.procedures, c.requestIDs = append(c.procedures, e.Procedure), append(c.requestIDs, e.RequestID)
		c.requests = append(c.requests, e.Request)
		c.outcomes, c.reasons = append(c.outcomes, e.Outcome), append(c.reasons, e.Reason)
	}
	return c
}

// list reads entries below a position, newest first; of one subject unless it is empty.
func (s store) list(ctx context.Context, subject string, below position, limit int) ([]Entry, error) {
	const columns = "SELECT at, entry_id, subject, roles, procedure, request_id, request, outcome, reason, completed_at FROM audit_entries "
	const order = " AND (at, entry_id) < ($1, $2) ORDER BY at DESC, entry_id DESC LIMIT $3"
	query, args := columns+"WHERE true"+order, []any{below.at, below.id, limit}
	if subject != "" {
		query, args = columns+"WHERE subject = $4"+order, append(args, subject)
	}
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("listing audit entries: %w", err)
	}
	entries, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("listing audit entries: %w", err)
	}
	return entries, nil
}

func scan(row pgx.CollectableRow) (Entry, error) {
	var e Entry
	var completed pgtype.Timestamptz
	err := row.Scan(&e.At, &e.ID, &e.Subject, &e.Roles, &e.Procedure, &e.RequestID, &e.Request, &e.Outcome, &e.Reason,
		&completed)
	if completed.Valid {
		e.CompletedAt = completed.Time
	}
	return e, err
}
