package payment

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// insertNotifications stores notifications and returns the keys that were not there before.
func insertNotifications(
	ctx context.Context, tx pgx.Tx, provider string, told []Notification, at time.Time,
) (map[string]bool, error) {
	n := len(told)
	transactions, ids, raws := make([]string, n), make([]uuid.UUID, n), make([][]byte, n)
	for i, t := range told {
		transactions[i], ids[i], raws[i] = t.key(), t.PaymentID, t.Raw
	}
	rows, err := tx.Query(ctx, `INSERT INTO payment_notifications (provider, transaction_id, payment_id, raw, received_at)
		SELECT $1::text, transaction_id, payment_id, raw, $2::timestamptz
		FROM unnest($3::text[], $4::uuid[], $5::bytea[]) AS n (transaction_id, payment_id, raw)
		ON CONFLICT (provider, transaction_id) DO NOTHING RETURNING transaction_id`, provider, at, transactions, ids, raws)
	if err != nil {
		return nil, fmt.Errorf("storing notifications: %w", err)
	}
	stored, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("storing notifications: %w", err)
	}
	fresh := make(map[string]bool, len(stored))
	for _, id := range stored {
		fresh[id] = true
	}
	return fresh, nil
}

// keep stores a notification once, for staff to see.
func (s *Service) keep(ctx context.Context, provider string, told Notification, reason string) error {
	hash := sha256.Sum256(told.Raw)
	_, err := s.pool.Exec(ctx, `INSERT INTO refused_notifications
			(provider, hash, reason, transaction_id, payment_id, raw, received_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (provider, hash) DO NOTHING`,
		provider, hash[:], reason, told.TransactionID, present(told.PaymentID), told.Raw, database.Stamp(s.now()))
	if err != nil {
		return fmt.Errorf("keeping a notification: %w", err)
	}
	return nil
}

// storeTold keeps a notification of a refund as it came. Its effect does not hang on this row: the
// refund's state lets it happen once.
func (s *Service) storeTold(ctx context.Context, provider string, told Notification) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO payment_notifications (provider, transaction_id, payment_id, raw, received_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (provider, transaction_id) DO NOTHING`,
		provider, "refund:"+told.key(), told.PaymentID, told.Raw, database.Stamp(s.now()))
	if err != nil {
		return fmt.Errorf("storing a notification: %w", err)
	}
	return nil
}

// refusedRow is a notification that was not believed.
type refusedRow struct {
	Provider, Reason, TransactionID string
	PaymentID                       *uuid.UUID
	Raw, Hash                       []byte
	ReceivedAt                      time.Time
}

// listRefused are the notifications that were not believed, before one of them, the latest first, at
// most limit.
func listRefused(ctx context.Context, q database.Querier, before refusedRow, limit int) ([]refusedRow, error) {
	rows, err := q.Query(ctx, `SELECT provider, reason, transaction_id, payment_id, raw, hash, received_at
		FROM refused_notifications WHERE (received_at, provider, hash) < ($1::timestamptz, $2::text, $3::bytea)
		ORDER BY received_at DESC, provider DESC, hash DESC LIMIT $4`,
		before.ReceivedAt, before.Provider, before.Hash, limit)
	if err != nil {
		return nil, fmt.Errorf("reading refused notifications: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[refusedRow])
	if err != nil {
		return nil, fmt.Errorf("reading refused notifications: %w", err)
	}
	return found, nil
}
