package audit

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

type store struct{ pool *pgxpool.Pool }

// insert can be repeated: an entry whose commit's outcome was not known is there once.
func (s store) insert(ctx context.Context, e Entry) error {
	return database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		_, err := tx.Exec(ctx,
			`INSERT INTO audit_entries (at, entry_id, subject, roles, procedure, request_id, request, outcome)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (at, entry_id) DO NOTHING`, e.At, e.ID, e.Subject, e.Roles,
			e.Procedure, e.RequestID, e.Request, e.Outcome)
		return err
	})
}

// complete says how the entry's call ended.
func (s store) complete(ctx context.Context, e Entry) error {
	return database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		_, err := tx.Exec(ctx,
			`UPDATE audit_entries SET outcome = $3, reason = $4, completed_at = $5 WHERE at = $1 AND entry_id = $2`, e.At, e.ID,
			e.Outcome, e.Reason, e.CompletedAt)
		return err
	})
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
