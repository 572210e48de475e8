package order

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// grantedBefore is what was granted under the key; no lines if nothing was.
func grantedBefore(ctx context.Context, q database.Querier, o *Order, key string) (Granted, error) {
	rows, err := q.Query(ctx,
		"SELECT line, quantity, amount FROM order_refunds WHERE order_id = $1 AND key = $2 ORDER BY line", o.ID, key)
	if err != nil {
		return Granted{}, fmt.Errorf("reading refunds: %w", err)
	}
	g := Granted{Currency: o.Currency}
	if g.Lines, err = pgx.CollectRows(rows, pgx.RowToStructByPos[GrantedLine]); err != nil {
		return Granted{}, fmt.Errorf("reading refunds: %w", err)
	}
	for _, l := range g.Lines {
		g.Amount += l.Amount
	}
	return g, nil
}

func queueGrant(b *pgx.Batch, orderID uuid.UUID, key string, granted []GrantedLine, at time.Time) {
	n := len(granted)
	lines, quantities, amounts := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, l := range granted {
		lines[i], quantities[i], amounts[i] = l.Line, l.Quantity, l.Amount
	}
	b.Queue(`INSERT INTO order_refunds (order_id, key, line, quantity, amount, granted_at)
		SELECT $1::uuid, $2::text, line, quantity, amount, $3::timestamptz
		FROM unnest($4::bigint[], $5::bigint[], $6::bigint[]) AS r (line, quantity, amount)`, orderID, key, at, lines, quantities, amounts)
}

// payGrant marks what was granted under the key as paid back and returns it; nothing if it was
// marked before, and an error if there is none.
func payGrant(
	ctx context.Context, tx pgx.Tx, orderID uuid.UUID, key string, refundID uuid.UUID, at time.Time,
) ([]GrantedLine, error) {
	rows, err := tx.Query(ctx, `UPDATE order_refunds SET refund_id = $3, refunded_at = $4
		WHERE order_id = $1 AND key = $2 AND refunded_at IS NULL RETURNING line, quantity, amount`, orderID, key, refundID, at)
	if err != nil {
		return nil, fmt.Errorf("marking a refund: %w", err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[GrantedLine])
	if err != nil {
		return nil, fmt.Errorf("marking a refund: %w", err)
	}
	if len(lines) > 0 {
		return lines, nil
	}
	known, err := grantedBefore(ctx, tx, &Order{ID: orderID}, key)
	if err == nil && len(known.Lines) == 0 {
		err = fmt.Errorf("refund %s of order %s was never granted", key, orderID)
	}
	return nil, err
}
