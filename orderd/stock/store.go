package stock

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// lockSQL comes before applySQL, whose UPDATE locks in whatever order its plan finds the rows. On CockroachDB it
// also makes transactions wait for a hot row, of which all but one would otherwise have to be run again.
const lockSQL = "SELECT sku FROM stock WHERE sku = ANY ($1) ORDER BY sku FOR UPDATE"

// applySQL writes the movements that are new, sums them a SKU, changes each SKU's row if nothing goes below
// zero, and returns the SKUs whose row could not be changed.
const applySQL = `
WITH moved AS (
	INSERT INTO stock_movements (ref, kind, sku, available, reserved, deducted, created_at)
	SELECT ref, kind, sku, available, reserved, deducted, now()
	FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
		AS m (ref, kind, sku, available, reserved, deducted)
	ON CONFLICT (ref, kind, sku) DO NOTHING
	RETURNING sku, available, reserved, deducted
), wanted AS (
	SELECT sku, sum(available)::bigint AS available, sum(reserved)::bigint AS reserved, sum(deducted)::bigint AS deducted
	FROM moved GROUP BY sku
), changed AS (
	UPDATE stock SET available = stock.available + wanted.available, reserved = stock.reserved + wanted.reserved,
		deducted = stock.deducted + wanted.deducted
	FROM wanted
	WHERE stock.sku = wanted.sku AND stock.available + wanted.available >= 0
		AND stock.reserved + wanted.reserved >= 0 AND stock.deducted + wanted.deducted >= 0
	RETURNING stock.sku AS sku
)
SELECT wanted.sku FROM wanted WHERE wanted.sku NOT IN (SELECT changed.sku FROM changed)`

// Apply makes the movements that have not happened yet: all of them, or an *InsufficientError or
// *UnknownSKUError, after which the transaction has to be rolled back. It is best called last in a
// transaction, because a hot SKU's row stays locked from here to the commit.
func Apply(ctx context.Context, tx pgx.Tx, movements []Movement) error {
	if len(movements) == 0 {
		return nil
	}
	var refs, kinds, skus []string
	var available, reserved, deducted []int64
	for _, m := range movements {
		refs, kinds, skus = append(refs, m.ref), append(kinds, m.kind), append(skus, m.sku)
		available, reserved, deducted = append(available, m.available), append(reserved, m.reserved), append(deducted, m.deducted)
	}
	var b pgx.Batch
	b.Queue(lockSQL, skusOf(movements))
	var refused []string
	b.Queue(applySQL, refs, kinds, skus, available, reserved, deducted).Query(func(rows pgx.Rows) error {
		var err error
		refused, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("moving stock: %w", err)
	}
	if len(refused) > 0 {
		return explain(ctx, tx, movements, refused)
	}
	return nil
}

// explain says why rows were not changed: they are not there, or have too little.
func explain(ctx context.Context, tx pgx.Tx, movements []Movement, refused []string) error {
	have, err := read(ctx, tx, refused, "")
	if err != nil {
		return err
	}
	slices.Sort(refused)
	var unknown []string
	var missing []Quantity
	for _, sku := range refused {
		levels, ok := have[sku]
		if !ok {
			unknown = append(unknown, sku)
			continue
		}
		var need int64
		for _, m := range movements {
			if m.sku == sku {
				need -= m.available
			}
		}
		if need > levels.Available {
			missing = append(missing, Quantity{SKU: sku, Quantity: need - levels.Available})
		}
	}
	switch {
	case len(unknown) > 0:
		return &UnknownSKUError{SKUs: unknown}
	case len(missing) > 0:
		return &InsufficientError{Missing: missing}
	}
	return fmt.Errorf("stock of %v would have less than nothing reserved or deducted", refused)
}

// Lock locks the SKUs' rows until the transaction ends, in the order of their names, and returns the
// levels of those there are.
func Lock(ctx context.Context, tx pgx.Tx, skus []string) (map[string]Levels, error) {
	return read(ctx, tx, skus, "FOR UPDATE")
}

func read(ctx context.Context, q querier, skus []string, suffix string) (map[string]Levels, error) {
	rows, err := q.Query(ctx, "SELECT sku, available, reserved, deducted FROM stock WHERE sku = ANY ($1) ORDER BY sku "+suffix, skus)
	if err != nil {
		return nil, fmt.Errorf("reading stock: %w", err)
	}
	out := make(map[string]Levels, len(skus))
	var sku string
	var l Levels
	_, err = pgx.ForEachRow(rows, []any{&sku, &l.Available, &l.Reserved, &l.Deducted}, func() error {
		out[sku] = l
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading stock: %w", err)
	}
	return out, nil
}

// Get returns the SKU's levels, or an *UnknownSKUError.
func Get(ctx context.Context, q querier, sku string) (Levels, error) {
	var l Levels
	err := q.QueryRow(ctx, "SELECT available, reserved, deducted FROM stock WHERE sku = $1", sku).Scan(&l.Available, &l.Reserved, &l.Deducted)
	if errors.Is(err, pgx.ErrNoRows) {
		return Levels{}, &UnknownSKUError{SKUs: []string{sku}}
	}
	if err != nil {
		return Levels{}, fmt.Errorf("reading stock: %w", err)
	}
	return l, nil
}

// Create makes the SKU's row with nothing in it, if there is none.
func Create(ctx context.Context, tx pgx.Tx, sku string) error {
	_, err := tx.Exec(ctx, "INSERT INTO stock (sku, available, reserved, deducted) VALUES ($1, 0, 0, 0) ON CONFLICT (sku, bucket) DO NOTHING", sku)
	if err != nil {
		return fmt.Errorf("creating stock: %w", err)
	}
	return nil
}

func skusOf(movements []Movement) []string {
	set := make(map[string]struct{}, len(movements))
	for _, m := range movements {
		set[m.sku] = struct{}{}
	}
	return slices.Sorted(maps.Keys(set))
}
