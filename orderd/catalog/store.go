package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// SKU is what can be ordered.
type SKU struct {
	SKU, Title string
	// UnitPrice in the currency's minor unit.
	UnitPrice int64
	Currency  string
	OnSale    bool
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Find returns those of the SKUs that there are, by their code.
func Find(ctx context.Context, q querier, skus []string) (map[string]SKU, error) {
	rows, err := q.Query(ctx, "SELECT sku, title, unit_price, currency, on_sale FROM skus WHERE sku = ANY ($1)", skus)
	if err != nil {
		return nil, fmt.Errorf("reading SKUs: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SKU])
	if err != nil {
		return nil, fmt.Errorf("reading SKUs: %w", err)
	}
	out := make(map[string]SKU, len(found))
	for _, s := range found {
		out[s.SKU] = s
	}
	return out, nil
}

func upsert(ctx context.Context, tx pgx.Tx, s SKU, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (sku) DO UPDATE SET title = excluded.title, unit_price = excluded.unit_price,
			currency = excluded.currency, on_sale = excluded.on_sale, updated_at = excluded.updated_at`,
		s.SKU, s.Title, s.UnitPrice, s.Currency, s.OnSale, at)
	if err != nil {
		return fmt.Errorf("writing SKU %s: %w", s.SKU, err)
	}
	return nil
}
