package journeys

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// deskFollowed is the law that what staff find orders by is what it would be if it were made anew: no event was missed,
// and nothing that is found by changes without one.
func deskFollowed(ctx context.Context, pool *pgxpool.Pool) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	// What is made anew is only compared.
	defer func() { _ = tx.Rollback(ctx) }()
	found, err := deskIndex(ctx, tx)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, "SELECT order_id FROM orders")
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return err
	}
	for _, table := range []string{"desk_orders", "desk_terms"} {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(ids, 500) {
		if err := desk.Refresh(ctx, tx, part); err != nil {
			return err
		}
	}
	want, err := deskIndex(ctx, tx)
	if err != nil {
		return err
	}
	wrong := append(without("there is no ", found, want), without("there is ", want, found)...)
	if len(wrong) > 0 {
		return fmt.Errorf("not so: staff find orders as they are:\n%s", strings.Join(wrong, "\n"))
	}
	return nil
}

// without are those of all that are not among others, with a word before each.
func without(word string, all, others []string) []string {
	known := map[string]bool{}
	for _, o := range others {
		known[o] = true
	}
	var out []string
	for _, a := range all {
		if !known[a] {
			out = append(out, word+a)
		}
	}
	return out
}

// deskIndex is all that staff find orders by, a row a text.
func deskIndex(ctx context.Context, tx pgx.Tx) ([]string, error) {
	var all []string
	for _, query := range []string{
		"SELECT * FROM desk_orders ORDER BY order_id", "SELECT * FROM desk_terms ORDER BY order_id, kind, term",
	} {
		rows, err := tx.Query(ctx, query)
		if err != nil {
			return nil, err
		}
		list, err := pgx.CollectRows(rows, pgx.RowToMap)
		if err != nil {
			return nil, err
		}
		for _, row := range list {
			if id, ok := row["order_id"].([16]byte); ok {
				row["order_id"] = uuid.UUID(id)
			}
			all = append(all, fmt.Sprint(row))
		}
	}
	return all, nil
}

func TestTheDesksLawFindsWhatBreaksIt(t *testing.T) {
	for _, tt := range []struct{ name, fault, want string }{
		{"nothing", "SELECT 1", ""},
		{
			"an order that has changed without an event", "UPDATE orders SET channel = 'app'",
			"there is map[buyer_id:ann channel:app",
		},
		{"a row of no order", "INSERT INTO desk_orders (order_id, number) VALUES ('" + testID(99) + "', 'n')", testID(99)},
		{"a term that is gone", "DELETE FROM desk_terms WHERE term = 't2'", "term:t2"},
		{
			"a transaction that nobody heard of",
			"UPDATE payments SET transaction_id = 't4' WHERE transaction_id = 't3'", "term:t4",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, pool := t.Context(), testdb.NewPool(t)
			for _, statement := range twicePaid {
				if _, err := pool.Exec(ctx, statement); err != nil {
					t.Fatal(err)
				}
			}
			err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				return desk.Refresh(ctx, tx, []uuid.UUID{uuid.MustParse(testID(1))})
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Exec(ctx, tt.fault); err != nil {
				t.Fatal(err)
			}
			err = deskFollowed(ctx, pool)
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want it to tell of %q", err, tt.want)
			}
		})
	}
}
