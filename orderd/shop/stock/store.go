package stock

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// lockSQL comes before applySQL, whose UPDATE locks in whatever order its plan finds the rows. On
// CockroachDB it also makes transactions wait for a hot row, of which all but one would otherwise
// have to be run again.
const lockSQL = "SELECT sku, bucket, available, reserved, deducted, spread FROM stock WHERE sku = ANY ($1) ORDER BY sku, bucket FOR UPDATE"

// applySQL finds the movements' buckets, writes the movements that are new, sums them a bucket,
// changes each bucket's row if nothing goes below zero, and returns the SKUs of which a row
// could not be changed.
const applySQL = `
WITH asked AS (
	SELECT m.ref, m.kind, m.sku, m.available, m.reserved, m.deducted, coalesce(f.bucket, s.bucket, m.bucket) AS bucket
	FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[])
		AS m (ref, kind, sku, available, reserved, deducted, bucket, of_ref, first_kind, second_kind)
	LEFT JOIN stock_movements f ON f.ref = m.of_ref AND f.kind = m.first_kind AND f.sku = m.sku
	LEFT JOIN stock_movements s ON s.ref = m.of_ref AND s.kind = m.second_kind AND s.sku = m.sku
), moved AS (
	INSERT INTO stock_movements (ref, kind, sku, available, reserved, deducted, bucket, created_at)
	SELECT ref, kind, sku, available, reserved, deducted, bucket, now() FROM asked
	ON CONFLICT (ref, kind, sku) DO NOTHING
	RETURNING sku, bucket, available, reserved, deducted
), wanted AS (
	SELECT sku, bucket, sum(available)::bigint AS available, sum(reserved)::bigint AS reserved, sum(deducted)::bigint AS deducted
	FROM moved GROUP BY sku, bucket
), changed AS (
	UPDATE stock SET available = stock.available + wanted.available, reserved = stock.reserved + wanted.reserved,
		deducted = stock.deducted + wanted.deducted
	FROM wanted
	WHERE stock.sku = wanted.sku AND stock.bucket = wanted.bucket AND stock.available + wanted.available >= 0
		AND stock.reserved + wanted.reserved >= 0 AND stock.deducted + wanted.deducted >= 0
	RETURNING stock.sku AS sku, stock.bucket AS bucket
)
SELECT DISTINCT wanted.sku FROM wanted WHERE (wanted.sku, wanted.bucket) NOT IN (SELECT changed.sku, changed.bucket FROM changed)`

// Apply makes the movements that have not happened yet: all of them, or an *InsufficientError or
// *UnknownSKUError, after which the transaction has to be rolled back. It is best called last in a
// transaction, because a hot SKU's rows stay locked from here to the commit.
func Apply(ctx context.Context, tx pgx.Tx, movements []Movement) error {
	if len(movements) == 0 {
		return nil
	}
	var b pgx.Batch
	if slices.ContainsFunc(movements, Movement.takes) {
		held, err := hold(ctx, tx, skusOf(movements))
		if err != nil {
			return err
		}
		movements = held.place(movements)
	} else {
		b.Queue(lockSQL, skusOf(movements))
	}
	var refused []string
	queueMovements(&b, movements).Query(func(rows pgx.Rows) error {
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

func queueMovements(b *pgx.Batch, movements []Movement) *pgx.QueuedQuery {
	n := len(movements)
	refs, kinds, skus := make([]string, n), make([]string, n), make([]string, n)
	available, reserved, deducted, buckets := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	of, first, second := make([]string, n), make([]string, n), make([]string, n)
	for i, m := range movements {
		refs[i], kinds[i], skus[i] = m.ref, m.kind, m.sku
		available[i], reserved[i], deducted[i], buckets[i] = m.available, m.reserved, m.deducted, m.bucket
		of[i], first[i], second[i] = m.of, m.after[0], m.after[1]
	}
	return b.Queue(applySQL, refs, kinds, skus, available, reserved, deducted, buckets, of, first, second)
}

// explain says why rows were not changed: they are not there, or have too little.
func explain(ctx context.Context, tx pgx.Tx, movements []Movement, refused []string) error {
	have, err := read(ctx, tx, refused)
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
	held, err := hold(ctx, tx, skus)
	if err != nil {
		return nil, err
	}
	out := make(map[string]Levels, len(held))
	for sku, rows := range held {
		out[sku] = sum(rows)
	}
	return out, nil
}

// read sums the SKUs' rows without locking them.
func read(ctx context.Context, q database.Querier, skus []string) (map[string]Levels, error) {
	rows, err := q.Query(ctx, `SELECT sku, sum(available)::bigint, sum(reserved)::bigint, sum(deducted)::bigint
		FROM stock WHERE sku = ANY ($1) GROUP BY sku`, skus)
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
func Get(ctx context.Context, q database.Querier, sku string) (Levels, error) {
	found, err := read(ctx, q, []string{sku})
	if err != nil {
		return Levels{}, err
	}
	l, ok := found[sku]
	if !ok {
		return Levels{}, &UnknownSKUError{SKUs: []string{sku}}
	}
	return l, nil
}

// Create makes the SKU's row with nothing in it, if there is none.
func Create(ctx context.Context, tx pgx.Tx, sku string) error {
	_, err := tx.Exec(ctx,
		"INSERT INTO stock (sku, available, reserved, deducted) VALUES ($1, 0, 0, 0) ON CONFLICT (sku, bucket) DO NOTHING",
		sku)
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
