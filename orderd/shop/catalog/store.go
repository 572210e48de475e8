package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// SKU is what can be ordered.
type SKU struct {
	SKU, Title string
	// UnitPrice in the currency's minor unit.
	UnitPrice int64
	Currency  string
	OnSale    bool
	// WeightGrams of one unit, packed.
	WeightGrams int64
	// TaxClass is the name of one; empty: no tax.
	TaxClass, Category string
}

// columns of a SKU, in the order of its fields.
const columns = "sku, title, unit_price, currency, on_sale, weight_grams, tax_class, category"

// Find returns those of the SKUs that there are, by their code.
func Find(ctx context.Context, q database.Querier, skus []string) (map[string]SKU, error) {
	found, err := read(ctx, q, "WHERE sku = ANY ($1)", skus)
	if err != nil {
		return nil, err
	}
	out := make(map[string]SKU, len(found))
	for _, s := range found {
		out[s.SKU] = s
	}
	return out, nil
}

// list reads the SKUs behind one, by their codes.
func list(
	ctx context.Context, q database.Querier, category string, onSaleOnly bool, after string, size int,
) ([]SKU, error) {
	condition := "WHERE sku > $1"
	args := []any{after, size}
	if category != "" {
		condition += " AND category = $3"
		args = append(args, category)
	}
	if onSaleOnly {
		condition += " AND on_sale"
	}
	return read(ctx, q, condition+" ORDER BY sku LIMIT $2", args...)
}

func read(ctx context.Context, q database.Querier, condition string, args ...any) ([]SKU, error) {
	rows, err := q.Query(ctx, "SELECT "+columns+" FROM skus "+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading SKUs: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SKU])
	if err != nil {
		return nil, fmt.Errorf("reading SKUs: %w", err)
	}
	return found, nil
}

func upsert(ctx context.Context, tx pgx.Tx, s SKU, at time.Time) error {
	_, err := tx.Exec(ctx, "INSERT INTO skus ("+columns+`, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (sku) DO UPDATE SET title = excluded.title, unit_price = excluded.unit_price, currency = excluded.currency,
			on_sale = excluded.on_sale, weight_grams = excluded.weight_grams, tax_class = excluded.tax_class,
			category = excluded.category, updated_at = excluded.updated_at`,
		s.SKU, s.Title, s.UnitPrice, s.Currency, s.OnSale, s.WeightGrams, s.TaxClass, s.Category, at)
	if err != nil {
		return fmt.Errorf("writing SKU %s: %w", s.SKU, err)
	}
	return nil
}
