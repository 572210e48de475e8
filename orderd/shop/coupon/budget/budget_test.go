package budget_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/coupon/budget"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func tx(pool *pgxpool.Pool, fn func(context.Context, pgx.Tx) error) error {
	ctx := context.Background()
	return database.ExecuteTx(ctx, pool, func(tx *database.Tx) error { return fn(ctx, tx) })
}

func set(pool *pgxpool.Pool, owner string, revision, capacity int64, enabled bool) (budget.Level, error) {
	var level budget.Level
	err := tx(pool, func(ctx context.Context, tx pgx.Tx) error {
		var err error
		level, err = budget.Set(ctx, tx, owner, revision, capacity, enabled)
		return err
	})
	return level, err
}

func take(pool *pgxpool.Pool, owner string, revision int64, wanted uint8) (budget.Unit, error) {
	var u budget.Unit
	err := budget.Attempt(func() error {
		return tx(pool, func(ctx context.Context, tx pgx.Tx) error {
			var err error
			u, err = budget.Take(ctx, tx, owner, revision, wanted)
			return err
		})
	})
	return u, err
}

// Whatever is set and taken, and from which bucket: as many units are taken as the capacity says,
// and no change of it loses or makes any.
func TestABudgetIsWhatWasSet(t *testing.T) {
	pool := testdb.NewPool(t)
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		owner := fmt.Sprintf("owner%d", runs)
		var revision, capacity, spent int64
		enabled := true
		change := func(t *rapid.T) {
			to := rapid.Int64Range(1, 40).Draw(t, "capacity")
			on := rapid.IntRange(0, 9).Draw(t, "off") > 0
			level, err := set(pool, owner, revision+1, to, on)
			var refused *budget.SpentError
			if errors.As(err, &refused) != (to < spent) || err != nil && refused == nil {
				t.Fatalf("set to %d with %d spent: %v", to, spent, err)
			}
			if err != nil {
				return
			}
			revision, capacity, enabled = revision+1, to, on
			if level != (budget.Level{Capacity: capacity, Spent: spent}) {
				t.Fatalf("set to %+v, want %d with %d spent", level, capacity, spent)
			}
		}
		change(t)
		t.Repeat(map[string]func(*rapid.T){
			"set": change,
			"take": func(t *rapid.T) {
				_, err := take(pool, owner, revision, rapid.Byte().Draw(t, "wanted"))
				var want error
				switch {
				case !enabled:
					want = budget.ErrChanged
				case spent == capacity:
					want = budget.ErrExhausted
				default:
					spent++
				}
				if !errors.Is(err, want) {
					t.Fatalf("taken with %d of %d spent: %v, want %v", spent, capacity, err, want)
				}
			},
			"take of other terms": func(t *rapid.T) {
				if _, err := take(pool, owner, revision-1, 0); !errors.Is(err, budget.ErrChanged) {
					t.Fatalf("taken: %v", err)
				}
			},
			"take and put back": func(t *rapid.T) {
				err := tx(pool, func(ctx context.Context, tx pgx.Tx) error {
					u, err := budget.Take(ctx, tx, owner, revision, rapid.Byte().Draw(t, "wanted"))
					if err != nil {
						return err
					}
					return budget.PutBack(ctx, tx, owner, u)
				})
				if ok := enabled && spent < capacity; ok != (err == nil) {
					t.Fatalf("taken and put back: %v", err)
				}
			},
			"": func(t *rapid.T) {
				levels, err := budget.Levels(context.Background(), pool, []string{owner, "nobody"})
				if err != nil || len(levels) != 1 || levels[owner] != (budget.Level{Capacity: capacity, Spent: spent}) {
					t.Fatalf("levels: %v, %v; want %d of %d", levels, err, spent, capacity)
				}
			},
		})
	})
}

// Many take at once: every number comes once, and all of them do.
func TestEveryUnitIsTakenOnce(t *testing.T) {
	const capacity = 100
	pool := testdb.NewPool(t)
	if _, err := set(pool, "o", 1, capacity, true); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[int64]bool{}
	var all sync.WaitGroup
	for worker := range 12 {
		all.Go(func() {
			for {
				u, err := take(pool, "o", 1, uint8(worker))
				if errors.Is(err, budget.ErrExhausted) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[u.Number] || u.Number < 0 || u.Number >= capacity {
					t.Errorf("unit %d is taken again, or is none", u.Number)
				}
				seen[u.Number] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(seen) != capacity {
		t.Errorf("%d units are taken, want %d", len(seen), capacity)
	}
}

// The wanted bucket comes first.
func TestBucketsAreSpread(t *testing.T) {
	pool := testdb.NewPool(t)
	if _, err := set(pool, "o", 1, 2*budget.Buckets, true); err != nil {
		t.Fatal(err)
	}
	for wanted := range uint8(2 * budget.Buckets) {
		u, err := take(pool, "o", 1, wanted)
		if err != nil || u.Bucket != int64(wanted)%budget.Buckets {
			t.Errorf("taken from bucket %d, %v; want %d", u.Bucket, err, wanted%budget.Buckets)
		}
	}
}
