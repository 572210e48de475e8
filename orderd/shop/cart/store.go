package cart

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// lockCarts makes everybody else who changes these carts wait, also while they are empty; by key,
// so that two merges never wait for each other.
func lockCarts(ctx context.Context, tx pgx.Tx, now time.Time, buyers ...string) error {
	slices.Sort(buyers)
	_, err := tx.Exec(ctx,
		`INSERT INTO carts (buyer_id, updated_at) SELECT buyer_id, $2::timestamptz FROM unnest($1::text[]) AS u (buyer_id)
		ON CONFLICT (buyer_id) DO UPDATE SET updated_at = excluded.updated_at`, buyers, now)
	if err != nil {
		return fmt.Errorf("locking a cart: %w", err)
	}
	return nil
}

// lockItems reads the lines of locked carts, by buyer, and locks them as well, by key: placing an
// order takes them out without locking the cart.
func lockItems(ctx context.Context, tx pgx.Tx, buyers ...string) (map[string][]Item, error) {
	rows, err := tx.Query(ctx, `SELECT buyer_id, sku, quantity, selected, added_at FROM cart_lines
		WHERE buyer_id = ANY ($1) ORDER BY buyer_id, sku FOR UPDATE`, buyers)
	if err != nil {
		return nil, fmt.Errorf("locking a cart's lines: %w", err)
	}
	out := map[string][]Item{}
	var buyerID string
	var i Item
	_, err = pgx.ForEachRow(rows, []any{&buyerID, &i.SKU, &i.Quantity, &i.Selected, &i.AddedAt}, func() error {
		out[buyerID] = append(out[buyerID], i)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("locking a cart's lines: %w", err)
	}
	return out, nil
}

// items reads a cart, latest first.
func items(ctx context.Context, q database.Querier, buyerID string) ([]Item, error) {
	return read(ctx, q, "WHERE buyer_id = $1", buyerID)
}

// Selected reads the lines of a cart that are selected for the next order, latest first; at most 100.
func Selected(ctx context.Context, q database.Querier, buyerID string) ([]Item, error) {
	return read(ctx, q, "WHERE buyer_id = $1 AND selected", buyerID)
}

func read(ctx context.Context, q database.Querier, condition, buyerID string) ([]Item, error) {
	rows, err := q.Query(ctx,
		"SELECT sku, quantity, selected, added_at FROM cart_lines "+condition+" ORDER BY added_at DESC, sku LIMIT $2",
		buyerID, maxLines)
	if err != nil {
		return nil, fmt.Errorf("reading a cart: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Item])
	if err != nil {
		return nil, fmt.Errorf("reading a cart: %w", err)
	}
	return out, nil
}

// queueWrite writes lines of one cart, by key.
func queueWrite(b *pgx.Batch, buyerID string, lines []Item) {
	if len(lines) == 0 {
		return
	}
	lines = slices.SortedFunc(slices.Values(lines), bySKU)
	var skus []string
	var quantities []int64
	var selected []bool
	var added []time.Time
	for _, l := range lines {
		skus, quantities = append(skus, l.SKU), append(quantities, l.Quantity)
		selected, added = append(selected, l.Selected), append(added, l.AddedAt)
	}
	b.Queue(`INSERT INTO cart_lines (buyer_id, sku, quantity, selected, added_at)
		SELECT $1::text, sku, quantity, selected, added_at FROM unnest($2::text[], $3::bigint[], $4::boolean[], $5::timestamptz[]) AS l (sku, quantity, selected, added_at)
		ON CONFLICT (buyer_id, sku) DO UPDATE SET quantity = excluded.quantity, selected = excluded.selected`,
		buyerID, skus, quantities, selected, added)
}

// Ordered is what a buyer has placed an order for.
type Ordered struct {
	BuyerID string
	SKUs    []string
}

// RemoveOrdered queues one statement that takes what was ordered out of the buyers' carts
// and leaves everything else. It locks the lines by key and no cart, and without anything
// ordered it queues nothing.
func RemoveOrdered(b *pgx.Batch, ordered []Ordered) {
	var buyers, skus []string
	for _, o := range ordered {
		for _, sku := range o.SKUs {
			buyers, skus = append(buyers, o.BuyerID), append(skus, sku)
		}
	}
	if len(skus) == 0 {
		return
	}
	b.Queue(`WITH ordered AS (
			SELECT l.buyer_id, l.sku FROM cart_lines AS l
			JOIN unnest($1::text[], $2::text[]) AS o (buyer_id, sku) ON l.buyer_id = o.buyer_id AND l.sku = o.sku
			ORDER BY l.buyer_id, l.sku FOR UPDATE OF l)
		DELETE FROM cart_lines WHERE (buyer_id, sku) IN (SELECT ordered.buyer_id, ordered.sku FROM ordered)`, buyers, skus)
}

// queueRemove removes lines of one cart, which is locked.
func queueRemove(b *pgx.Batch, buyerID string, skus []string) {
	RemoveOrdered(b, []Ordered{{BuyerID: buyerID, SKUs: skus}})
}

func skusOf(items []Item) []string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = item.SKU
	}
	return out
}

func bySKU(a, b Item) int {
	switch {
	case a.SKU < b.SKU:
		return -1
	case a.SKU > b.SKU:
		return 1
	}
	return 0
}
