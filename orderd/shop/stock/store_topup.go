package stock

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// lockTopUps lets transactions on one promotion's top-ups come one after the other.
func lockTopUps(ctx context.Context, tx pgx.Tx, uid string) (ended bool, err error) {
	if _, err := tx.Exec(ctx,
		"INSERT INTO promotion_stock (promotion_uid) VALUES ($1) ON CONFLICT (promotion_uid) DO NOTHING", uid); err != nil {
		return false, fmt.Errorf("locking the promotion's stock: %w", err)
	}
	if err := tx.QueryRow(ctx, "SELECT ended FROM promotion_stock WHERE promotion_uid = $1 FOR UPDATE",
		uid).Scan(&ended); err != nil {
		return false, fmt.Errorf("locking the promotion's stock: %w", err)
	}
	return ended, nil
}

func readTopUps(ctx context.Context, q database.Querier, uid string) ([]TopUp, error) {
	rows, err := q.Query(ctx,
		"SELECT number, sku, quantity FROM promotion_top_ups WHERE promotion_uid = $1 ORDER BY number", uid)
	if err != nil {
		return nil, fmt.Errorf("reading the top-ups of promotion %s: %w", uid, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[TopUp])
	if err != nil {
		return nil, fmt.Errorf("reading the top-ups of promotion %s: %w", uid, err)
	}
	return all, nil
}

// writeTopUpsEnded keeps what is there of the promotion's top-ups from growing.
func writeTopUpsEnded(ctx context.Context, tx pgx.Tx, uid string) error {
	_, err := tx.Exec(ctx, "UPDATE promotion_stock SET ended = true WHERE promotion_uid = $1 AND NOT ended", uid)
	if err != nil {
		return fmt.Errorf("ending the promotion's top-ups: %w", err)
	}
	return nil
}

func insertTopUps(ctx context.Context, tx pgx.Tx, uid string, lacking []TopUp) error {
	numbers, skus, quantities := make([]int64, len(lacking)), make([]string, len(lacking)), make([]int64, len(lacking))
	movements := make([]Movement, len(lacking))
	for i, t := range lacking {
		numbers[i], skus[i], quantities[i] = t.Number, t.SKU, t.Quantity
		movements[i] = topUpMovement(uid, t)
	}
	_, err := tx.Exec(ctx, `INSERT INTO promotion_top_ups (promotion_uid, number, sku, quantity, created_at)
		SELECT $1::text, t.number, t.sku, t.quantity, now() FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS t (number, sku, quantity)`,
		uid, numbers, skus, quantities)
	if err != nil {
		return fmt.Errorf("writing the top-ups of promotion %s: %w", uid, err)
	}
	return Apply(ctx, tx, movements)
}
