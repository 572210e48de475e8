package stock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func apply(t *testing.T, pool *pgxpool.Pool, movements ...stock.Movement) error {
	t.Helper()
	return database.ExecuteTx(context.Background(), pool, func(tx *database.Tx) error {
		return stock.Apply(context.Background(), tx, movements)
	})
}

func seed(t *testing.T, pool *pgxpool.Pool, items ...stock.Quantity) {
	t.Helper()
	for _, q := range items {
		err := database.ExecuteTx(context.Background(), pool, func(tx *database.Tx) error {
			return stock.Create(context.Background(), tx, q.SKU)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := apply(t, pool, stock.Add("seed", q)); err != nil {
			t.Fatal(err)
		}
	}
}

func levels(t *testing.T, pool *pgxpool.Pool, sku string) stock.Levels {
	t.Helper()
	l, err := stock.Get(context.Background(), pool, sku)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestMovements(t *testing.T) {
	pool := testdb.NewPool(t)
	seed(t, pool, stock.Quantity{SKU: "tea", Quantity: 10})
	three := stock.Quantity{SKU: "tea", Quantity: 3}
	for _, tt := range []struct {
		name string
		move stock.Movement
		want stock.Levels
	}{
		{"reserve", stock.Reserve("o1", three), stock.Levels{Available: 7, Reserved: 3}},
		{"reserve again", stock.Reserve("o1", three), stock.Levels{Available: 7, Reserved: 3}},
		{"deduct", stock.Deduct("o1", three), stock.Levels{Available: 7, Deducted: 3}},
		{"reserve another", stock.Reserve("o2", three), stock.Levels{Available: 4, Reserved: 3, Deducted: 3}},
		{"release it", stock.Release("o2", three), stock.Levels{Available: 7, Deducted: 3}},
		{"release it again", stock.Release("o2", three), stock.Levels{Available: 7, Deducted: 3}},
		{"take it after all", stock.Take("o2", three), stock.Levels{Available: 4, Deducted: 6}},
		{"take some out", stock.Add("r2", stock.Quantity{SKU: "tea", Quantity: -4}), stock.Levels{Deducted: 6}},
	} {
		if err := apply(t, pool, tt.move); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, levels(t, pool, "tea")); diff != "" {
			t.Fatalf("%s: (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestRefusedMovementsChangeNothing(t *testing.T) {
	pool := testdb.NewPool(t)
	seed(t, pool, stock.Quantity{SKU: "cup", Quantity: 2}, stock.Quantity{SKU: "tea", Quantity: 5})
	for _, tt := range []struct {
		name        string
		moves       []stock.Movement
		wantMissing []stock.Quantity
		wantUnknown []string
	}{
		{
			"short",
			[]stock.Movement{
				stock.Reserve("o1", stock.Quantity{SKU: "tea", Quantity: 1}),
				stock.Reserve("o1", stock.Quantity{SKU: "cup", Quantity: 5}),
			},
			[]stock.Quantity{{SKU: "cup", Quantity: 3}}, nil,
		},
		{
			"unknown",
			[]stock.Movement{
				stock.Reserve("o1", stock.Quantity{SKU: "tea", Quantity: 1}),
				stock.Reserve("o1", stock.Quantity{SKU: "ghost", Quantity: 5}),
			},
			nil, []string{"ghost"},
		},
		{"more than is reserved", []stock.Movement{stock.Deduct("o9", stock.Quantity{SKU: "tea", Quantity: 1})}, nil, nil},
	} {
		err := apply(t, pool, tt.moves...)
		if err == nil {
			t.Fatalf("%s: no error", tt.name)
		}
		var short *stock.InsufficientError
		var unknown *stock.UnknownSKUError
		if errors.As(err, &short); short != nil && !cmp.Equal(short.Missing, tt.wantMissing) ||
			short == nil && tt.wantMissing != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if errors.As(err, &unknown); unknown != nil && !cmp.Equal(unknown.SKUs, tt.wantUnknown) ||
			unknown == nil && tt.wantUnknown != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(stock.Levels{Available: 5}, levels(t, pool, "tea")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestAllocateAndReturn(t *testing.T) {
	ctx, pool := context.Background(), testdb.NewPool(t)
	seed(t, pool, stock.Quantity{SKU: "cup", Quantity: 5}, stock.Quantity{SKU: "tea", Quantity: 10})
	items := []stock.Quantity{{SKU: "tea", Quantity: 8}, {SKU: "cup", Quantity: 5}}
	sorted := []stock.Quantity{items[1], items[0]}

	var short *stock.InsufficientError
	if err := stock.Allocate(ctx, pool, "big",
		[]stock.Quantity{{SKU: "tea", Quantity: 11}, {SKU: "cup", Quantity: 6}}); !errors.As(err, &short) {
		t.Fatalf("too much: %v", err)
	}
	if diff := cmp.Diff([]stock.Quantity{{SKU: "cup", Quantity: 1}, {SKU: "tea", Quantity: 1}},
		short.Missing); diff != "" {
		t.Fatal(diff)
	}
	for range 2 {
		if err := stock.Allocate(ctx, pool, "sale", items); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := stock.Allocated(ctx, pool, "sale"); err != nil || !cmp.Equal(sorted, got) {
		t.Fatalf("allocated %v, %v", got, err)
	}
	if err := stock.Allocate(ctx, pool, "sale", []stock.Quantity{{SKU: "tea", Quantity: 9}}); !errors.Is(err,
		stock.ErrDiffers) {
		t.Fatalf("another quantity: %v", err)
	}
	if diff := cmp.Diff(stock.Levels{Available: 2, Reserved: 8}, levels(t, pool, "tea")); diff != "" {
		t.Fatal(diff)
	}
	unsold := []stock.Quantity{{SKU: "cup", Quantity: 0}, {SKU: "tea", Quantity: 3}}
	for range 2 {
		if err := stock.ReturnUnsold(ctx, pool, "sale", unsold); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := stock.Returned(ctx, pool, "sale"); err != nil || !cmp.Equal(unsold, got) {
		t.Fatalf("returned %v, %v", got, err)
	}
	if diff := cmp.Diff(stock.Levels{Available: 5, Reserved: 5}, levels(t, pool, "tea")); diff != "" {
		t.Fatal(diff)
	}
}

// Many orders of several SKUs, named in every order, meet neither a deadlock they do not get
// out of nor oversell.
func TestConcurrentReservations(t *testing.T) {
	pool := testdb.NewPool(t)
	const stocked, orders = 20, 60
	skus := []string{"a", "b", "c"}
	for _, sku := range skus {
		seed(t, pool, stock.Quantity{SKU: sku, Quantity: stocked})
	}
	var wg sync.WaitGroup
	errs := make(chan error, orders)
	for i := range orders {
		wg.Go(func() {
			var moves []stock.Movement
			for j := range skus {
				moves = append(moves, stock.Reserve(fmt.Sprintf("o%d", i), stock.Quantity{SKU: skus[(i+j)%len(skus)], Quantity: 1}))
			}
			errs <- apply(t, pool, moves...)
		})
	}
	wg.Wait()
	close(errs)
	placed := 0
	for err := range errs {
		var short *stock.InsufficientError
		switch {
		case err == nil:
			placed++
		case !errors.As(err, &short):
			t.Error(err)
		}
	}
	if placed != stocked {
		t.Errorf("%d orders, want %d", placed, stocked)
	}
	for _, sku := range skus {
		if diff := cmp.Diff(stock.Levels{Reserved: stocked}, levels(t, pool, sku)); diff != "" {
			t.Errorf("%s: %s", sku, diff)
		}
	}
}
