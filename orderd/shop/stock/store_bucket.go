package stock

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

func hold(ctx context.Context, tx pgx.Tx, skus []string) (held, error) {
	rows, err := tx.Query(ctx, lockSQL, skus)
	if err != nil {
		return nil, fmt.Errorf("locking stock: %w", err)
	}
	found, err := collect(rows)
	if err != nil {
		return nil, err
	}
	return found, nil
}

func collect(rows pgx.Rows) (held, error) {
	out := held{}
	b := bucket{}
	_, err := pgx.ForEachRow(
		rows,
		[]any{&b.SKU, &b.Bucket, &b.Levels.Available, &b.Levels.Reserved, &b.Levels.Deducted, &b.Spread},
		func() error {
			found := b
			out[b.SKU] = append(out[b.SKU], &found)
			return nil
		},
	)
	if err != nil {
		return nil, fmt.Errorf("locking stock: %w", err)
	}
	return out, nil
}

// Buckets is over how many rows the SKU's stock is spread, or an *UnknownSKUError.
func Buckets(ctx context.Context, q database.Querier, sku string) (int64, error) {
	rows, err := q.Query(ctx, "SELECT spread FROM stock WHERE sku = $1 AND bucket = 0", sku)
	if err != nil {
		return 0, fmt.Errorf("reading stock: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, fmt.Errorf("reading stock: %w", err)
	}
	if len(found) == 0 {
		return 0, &UnknownSKUError{SKUs: []string{sku}}
	}
	return found[0], nil
}

// writeSpread stores over how many buckets the SKU's stock is to be spread, and makes those it lacks.
func writeSpread(ctx context.Context, tx pgx.Tx, sku string, buckets int64) error {
	tag, err := tx.Exec(ctx, "UPDATE stock SET spread = $2 WHERE sku = $1 AND bucket = 0", sku, buckets)
	if err != nil {
		return fmt.Errorf("spreading stock: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return &UnknownSKUError{SKUs: []string{sku}}
	}
	_, err = tx.Exec(ctx, `INSERT INTO stock (sku, bucket, available, reserved, deducted)
		SELECT $1::text, b, 0, 0, 0 FROM generate_series(0, $2::bigint - 1) AS s (b)
		ON CONFLICT (sku, bucket) DO NOTHING`, sku, buckets)
	if err != nil {
		return fmt.Errorf("spreading stock: %w", err)
	}
	return nil
}
