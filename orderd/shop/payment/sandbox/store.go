package sandbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

func readEntries(ctx context.Context, q database.Querier, condition string, args ...any) ([]entry, error) {
	rows, err := q.Query(ctx, `SELECT payment_id, refund_id, state, transaction_id, currency, amount, at
		FROM sandbox_transactions `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("sandbox: reading transactions: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[entry])
	if err != nil {
		return nil, fmt.Errorf("sandbox: reading transactions: %w", err)
	}
	return found, nil
}

// readEntry reads one at most, and tells whether it is there.
func readEntry(ctx context.Context, q database.Querier, condition string, args ...any) (entry, bool, error) {
	found, err := readEntries(ctx, q, condition, args...)
	if err != nil || len(found) == 0 {
		return entry{}, false, err
	}
	return found[0], true, nil
}

// insert writes an entry unless there is one for the same payment and refund.
func insert(ctx context.Context, q database.Querier, e entry) error {
	_, err := q.Exec(ctx,
		`INSERT INTO sandbox_transactions (payment_id, refund_id, state, transaction_id, amount, currency, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (payment_id, refund_id) DO NOTHING`, e.PaymentID, e.RefundID, e.State,
		e.TransactionID, e.Amount, e.Currency, e.At)
	if err != nil {
		return fmt.Errorf("sandbox: writing a transaction: %w", err)
	}
	return nil
}

// record writes a payment's end unless it has one, and returns the one that counts.
func (s *Sandbox) record(ctx context.Context, e entry) (entry, error) {
	if err := insert(ctx, s.pool, e); err != nil {
		return entry{}, err
	}
	found, _, err := s.find(ctx, e.PaymentID, e.RefundID)
	return found, err
}

func (s *Sandbox) find(ctx context.Context, paymentID, refundID uuid.UUID) (entry, bool, error) {
	return readEntry(ctx, s.pool, "WHERE payment_id = $1 AND refund_id = $2", paymentID, refundID)
}

// lockPaid reads a payment that was paid, and keeps its row locked until the transaction ends.
func lockPaid(ctx context.Context, tx pgx.Tx, paymentID uuid.UUID) (entry, bool, error) {
	return readEntry(ctx, tx, "WHERE payment_id = $1 AND refund_id = $2 AND state = $3 FOR UPDATE",
		paymentID, uuid.Nil, statePaid)
}

// refundsOf are a payment's refunds.
func refundsOf(ctx context.Context, q database.Querier, paymentID uuid.UUID) ([]entry, error) {
	return readEntries(ctx, q, "WHERE payment_id = $1 AND refund_id <> $2", paymentID, uuid.Nil)
}

// listMoved are the payments and refunds behind one of them and before a time, in the order of
// time, at most limit.
func listMoved(ctx context.Context, q database.Querier, after entry, before time.Time, limit int) ([]entry, error) {
	return readEntries(ctx, q,
		`WHERE state <> $1 AND at < $2 AND (at, payment_id, refund_id) > ($3::timestamptz, $4::uuid, $5::uuid)
		ORDER BY at, payment_id, refund_id LIMIT $6`, stateClosed, before, after.At, after.PaymentID, after.RefundID, limit)
}
