package order

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func soldWritten(ctx context.Context, db *pgxpool.Pool, promotionUID string, sold map[string]int64) error {
	rows, err := db.Query(ctx, `SELECT l.sku, sum(l.quantity)::bigint FROM orders o
		JOIN order_lines l ON l.order_id = o.order_id
		LEFT JOIN flash_releases r ON r.order_id = o.order_id AND r.outcome = 'RELEASED'
		WHERE o.promotion_uid = $1 AND o.promotion_uid <> '' AND r.order_id IS NULL
		GROUP BY l.sku`, promotionUID)
	if err != nil {
		return err
	}
	var sku string
	var quantity int64
	_, err = pgx.ForEachRow(rows, []any{&sku, &quantity}, func() error {
		sold[sku] += quantity
		return nil
	})
	return err
}

// soldUnwritable adds the orders that are in the log only, where they count as sold until they are
// released. There are few: each is a dead letter that somebody looks at.
func soldUnwritable(ctx context.Context, db *pgxpool.Pool, promotionUID string, sold map[string]int64) error {
	rows, err := db.Query(ctx, `SELECT order_id, reservation FROM flash_releases
		WHERE promotion_uid = $1 AND reservation IS NOT NULL AND outcome <> 'RELEASED'`, promotionUID)
	if err != nil {
		return err
	}
	var u unwritableRow
	_, err = pgx.ForEachRow(rows, []any{&u.OrderID, &u.Reservation}, func() error {
		r, err := u.decode()
		if err != nil {
			return err
		}
		for _, item := range r.GetItems() {
			sold[item.GetSku()] += item.GetQuantity()
		}
		return nil
	})
	return err
}

// PendingReleases is how many of a promotion's cancelled, expired or unwritable orders still have
// to give their stock back.
func PendingReleases(ctx context.Context, db *pgxpool.Pool, promotionUID string) (int64, error) {
	var n int64
	err := db.QueryRow(ctx, "SELECT count(*) FROM flash_releases WHERE outcome = 'PENDING' AND promotion_uid = $1",
		promotionUID).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting the releases of promotion %s: %w", promotionUID, err)
	}
	return n, nil
}
