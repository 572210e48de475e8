// Package budget has what may be given away at most: of a coupon template, by a campaign. A budget
// is a number of units, spread over rows, so that many transactions take from it at once; taking
// one is a conditional update, so that it is never exceeded.
package budget

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/money"
)

// Buckets that every budget is spread over. Rows are numbered by them, so it stays what it is.
const Buckets = 16

var (
	// ErrExhausted says that nothing is left.
	ErrExhausted = errors.New("the budget is exhausted")
	// ErrChanged says that the budget is switched off, or that its owner has another revision than
	// the caller has read.
	ErrChanged = errors.New("the budget's owner has changed")
	// ErrMissed says that others have emptied a bucket meanwhile; there is something left in another.
	ErrMissed = errors.New("a bucket of the budget was emptied meanwhile")
)

// SpentError says that a budget cannot be lowered as far, because more is spent.
type SpentError struct{ Spent int64 }

// Error says how much.
func (e *SpentError) Error() string { return fmt.Sprintf("%d are spent", e.Spent) }

// Level of a budget, in units.
type Level struct{ Capacity, Spent int64 }

// Unit is what was taken: its number, unique in a budget whose capacity never
// changed, and its bucket.
type Unit struct{ Number, Bucket int64 }

// Rounds of attempts to take are enough: every ErrMissed is about another bucket, which stays empty.
const Rounds = Buckets + 1

// Attempt runs an attempt that begins anew each time, for as long as it misses.
func Attempt(attempt func() error) error {
	for range Rounds {
		if err := attempt(); !errors.Is(err, ErrMissed) {
			return err
		}
	}
	return ErrExhausted
}

// Set makes the budget, or gives it another capacity and revision. It waits for all who take from
// the budget, and they for it. A capacity below what is spent is a *SpentError.
func Set(ctx context.Context, tx pgx.Tx, owner string, revision, capacity int64, enabled bool) (Level, error) {
	rows, err := lock(ctx, tx, owner)
	if err != nil {
		return Level{}, err
	}
	level := sum(rows)
	if capacity < level.Spent {
		return level, &SpentError{Spent: level.Spent}
	}
	if len(rows) == 0 || level.Capacity != capacity {
		rows = spread(rows, capacity)
	}
	if err := writeRows(ctx, tx, owner, revision, enabled, rows); err != nil {
		return Level{}, err
	}
	return Level{Capacity: capacity, Spent: level.Spent}, nil
}

func sum(rows []row) Level {
	var l Level
	for _, r := range rows {
		l.Capacity += r.Capacity
		l.Spent += r.Capacity - r.Remaining
	}
	return l
}

// spread divides what is left of a capacity evenly; what each bucket has spent stays its own.
func spread(rows []row, capacity int64) []row {
	weights := make([]int64, Buckets)
	left := money.Split(capacity-sum(rows).Spent, weights)
	out := make([]row, Buckets)
	var first int64
	for i := range out {
		var spent int64
		if i < len(rows) {
			spent = rows[i].Capacity - rows[i].Remaining
		}
		out[i] = row{First: first, Capacity: spent + left[i], Remaining: left[i]}
		first += out[i].Capacity
	}
	return out
}
