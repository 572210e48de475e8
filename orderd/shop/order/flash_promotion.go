package order

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// SoldInPromotion is, by SKU, what a promotion's orders in the database hold: every materialized
// order's units, and every unwritable one's, but those whose release landed in the promotion's log.
// While PendingReleases is not zero, a release may have landed and not be counted yet.
func SoldInPromotion(ctx context.Context, db *pgxpool.Pool, promotionUID string) ([]stock.Quantity, error) {
	sold := map[string]int64{}
	if err := soldWritten(ctx, db, promotionUID, sold); err != nil {
		return nil, fmt.Errorf("counting what promotion %s sold: %w", promotionUID, err)
	}
	if err := soldUnwritable(ctx, db, promotionUID, sold); err != nil {
		return nil, fmt.Errorf("counting what promotion %s sold: %w", promotionUID, err)
	}
	var out []stock.Quantity
	for _, sku := range slices.Sorted(maps.Keys(sold)) {
		out = append(out, stock.Quantity{SKU: sku, Quantity: sold[sku]})
	}
	return out, nil
}
