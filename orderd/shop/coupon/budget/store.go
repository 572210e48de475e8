package budget

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// The bucket is one that has something left, the wanted one first: a hint, which the conditions
// then hold against the row itself.
const takeSQL = `UPDATE budgets SET remaining = remaining - 1
	WHERE owner = $1 AND revision = $2 AND enabled AND remaining > 0 AND bucket = (
		SELECT bucket FROM budgets WHERE owner = $1 AND remaining > 0 ORDER BY (bucket + $3::bigint) % 16 LIMIT 1)
	RETURNING first_unit + remaining, bucket`

// Take takes one unit: from the wanted bucket if that has one left, else from another. The row
// stays locked from here to the commit, so it is best called late. The error is ErrExhausted,
// ErrChanged or ErrMissed: nothing was taken, and yet a row may be locked, so the transaction, or
// its savepoint, has to be rolled back before the next attempt. Rounds of them are enough.
func Take(ctx context.Context, tx pgx.Tx, owner string, revision int64, wanted uint8) (Unit, error) {
	var u Unit
	err := tx.QueryRow(ctx, takeSQL, owner, revision, shift(wanted)).Scan(&u.Number, &u.Bucket)
	if errors.Is(err, pgx.ErrNoRows) {
		return Unit{}, Explain(ctx, tx, owner, revision)
	}
	if err != nil {
		return Unit{}, fmt.Errorf("taking from the budget of %s: %w", owner, err)
	}
	return u, nil
}

// QueueTake is Take in a batch, best as its last statement; taken tells, once the batch is done,
// whether a unit was taken. If not, Explain says why.
func QueueTake(b *pgx.Batch, owner string, revision int64, wanted uint8, taken *bool) {
	*taken = false
	b.Queue(takeSQL, owner, revision, shift(wanted)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			*taken = true
		}
		return rows.Err()
	})
}

// shift makes the wanted bucket the first in the order of (bucket + shift) % Buckets.
func shift(wanted uint8) int64 { return Buckets - int64(wanted)%Buckets }

// Explain says why nothing was taken: ErrExhausted, ErrChanged or ErrMissed.
func Explain(ctx context.Context, tx pgx.Tx, owner string, revision int64) error {
	var current, left bool
	err := tx.QueryRow(ctx,
		`SELECT COALESCE(bool_and(enabled AND revision = $2), false), COALESCE(bool_or(remaining > 0), false)
		FROM budgets WHERE owner = $1`, owner, revision).Scan(&current, &left)
	switch {
	case err != nil:
		return fmt.Errorf("reading the budget of %s: %w", owner, err)
	case !current:
		return ErrChanged
	case !left:
		return ErrExhausted
	}
	return ErrMissed
}

// PutBack undoes a Take of the same transaction.
func PutBack(ctx context.Context, tx pgx.Tx, owner string, u Unit) error {
	if _, err := tx.Exec(ctx, "UPDATE budgets SET remaining = remaining + 1 WHERE owner = $1 AND bucket = $2", owner,
		u.Bucket); err != nil {
		return fmt.Errorf("giving back to the budget of %s: %w", owner, err)
	}
	return nil
}

// row is one bucket.
type row struct{ First, Capacity, Remaining int64 }

func lock(ctx context.Context, tx pgx.Tx, owner string) ([]row, error) {
	rows, err := tx.Query(ctx,
		"SELECT first_unit, capacity, remaining FROM budgets WHERE owner = $1 ORDER BY bucket FOR UPDATE", owner)
	if err != nil {
		return nil, fmt.Errorf("locking the budget of %s: %w", owner, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return nil, fmt.Errorf("locking the budget of %s: %w", owner, err)
	}
	return found, nil
}

// writeRows stores the budget's rows, which are numbered by their buckets.
func writeRows(ctx context.Context, tx pgx.Tx, owner string, revision int64, enabled bool, rows []row) error {
	buckets, firsts := make([]int64, Buckets), make([]int64, Buckets)
	capacities, remaining := make([]int64, Buckets), make([]int64, Buckets)
	for i, r := range rows {
		buckets[i], firsts[i], capacities[i], remaining[i] = int64(i), r.First, r.Capacity, r.Remaining
	}
	_, err := tx.Exec(ctx, `INSERT INTO budgets (owner, bucket, revision, enabled, first_unit, capacity, remaining)
		SELECT $1::text, bucket, $2::bigint, $3::boolean, first_unit, capacity, remaining
		FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) AS r (bucket, first_unit, capacity, remaining)
		ON CONFLICT (owner, bucket) DO UPDATE SET revision = excluded.revision, enabled = excluded.enabled,
			first_unit = excluded.first_unit, capacity = excluded.capacity, remaining = excluded.remaining`,
		owner, revision, enabled, buckets, firsts, capacities, remaining)
	if err != nil {
		return fmt.Errorf("setting the budget of %s: %w", owner, err)
	}
	return nil
}

// Levels reads the budgets of those of the owners that have one.
func Levels(ctx context.Context, q database.Querier, owners []string) (map[string]Level, error) {
	rows, err := q.Query(ctx, `SELECT owner, sum(capacity)::bigint, sum(capacity - remaining)::bigint
		FROM budgets WHERE owner = ANY ($1) GROUP BY owner`, owners)
	if err != nil {
		return nil, fmt.Errorf("reading budgets: %w", err)
	}
	out := make(map[string]Level, len(owners))
	var owner string
	var l Level
	_, err = pgx.ForEachRow(rows, []any{&owner, &l.Capacity, &l.Spent}, func() error {
		out[owner] = l
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading budgets: %w", err)
	}
	return out, nil
}
