package order

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/stock"
)

// SoldInPromotion is, by SKU, what a promotion's orders in the database hold: every materialized order's
// units but those whose release landed in the promotion's log. While PendingReleases is not zero, a
// release may have landed and not be counted yet.
func SoldInPromotion(ctx context.Context, db *pgxpool.Pool, promotionUID string) ([]stock.Quantity, error) {
	rows, err := db.Query(ctx, `SELECT l.sku, sum(l.quantity)::bigint FROM orders o
		JOIN order_lines l ON l.order_id = o.order_id
		LEFT JOIN flash_releases r ON r.order_id = o.order_id AND r.outcome = 'RELEASED'
		WHERE o.promotion_uid = $1 AND o.promotion_uid <> '' AND r.order_id IS NULL
		GROUP BY l.sku ORDER BY l.sku`, promotionUID)
	if err != nil {
		return nil, fmt.Errorf("counting what promotion %s sold: %w", promotionUID, err)
	}
	sold, err := pgx.CollectRows(rows, pgx.RowToStructByPos[stock.Quantity])
	if err != nil {
		return nil, fmt.Errorf("counting what promotion %s sold: %w", promotionUID, err)
	}
	return sold, nil
}

// PendingReleases is how many of a promotion's cancelled or expired orders still have to give their stock back.
func PendingReleases(ctx context.Context, db *pgxpool.Pool, promotionUID string) (int64, error) {
	var n int64
	err := db.QueryRow(ctx, `SELECT count(*) FROM orders o JOIN flash_releases r ON r.order_id = o.order_id
		WHERE o.promotion_uid = $1 AND o.promotion_uid <> '' AND r.outcome = 'PENDING'`, promotionUID).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting the releases of promotion %s: %w", promotionUID, err)
	}
	return n, nil
}
