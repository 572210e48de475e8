package stock

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// InStock tells of which of the SKUs anything is available. It takes no locks: by the time it
// answers that may have changed.
func InStock(ctx context.Context, q database.Querier, skus []string) (map[string]bool, error) {
	rows, err := q.Query(ctx, "SELECT DISTINCT sku FROM stock WHERE sku = ANY ($1) AND available > 0", skus)
	if err != nil {
		return nil, fmt.Errorf("reading stock: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("reading stock: %w", err)
	}
	out := make(map[string]bool, len(found))
	for _, sku := range found {
		out[sku] = true
	}
	return out, nil
}
