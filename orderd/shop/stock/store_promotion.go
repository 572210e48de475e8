package stock

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

func moved(ctx context.Context, q database.Querier, uid, kind string) ([]Quantity, error) {
	rows, err := q.Query(ctx, "SELECT sku, abs(reserved) FROM stock_movements WHERE ref = $1 AND kind = $2 ORDER BY sku",
		uid, kind)
	if err != nil {
		return nil, fmt.Errorf("reading the stock movements of promotion %s: %w", uid, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Quantity])
	if err != nil {
		return nil, fmt.Errorf("reading the stock movements of promotion %s: %w", uid, err)
	}
	return out, nil
}
