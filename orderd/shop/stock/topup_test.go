package stock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func TestTopUpsReachTheirTargetsOnce(t *testing.T) {
	ctx, pool := context.Background(), testdb.NewPool(t)
	seed(t, pool, stock.Quantity{SKU: "cup", Quantity: 50}, stock.Quantity{SKU: "tea", Quantity: 100})
	if err := stock.Allocate(ctx, pool, "sale",
		[]stock.Quantity{{SKU: "tea", Quantity: 10}, {SKU: "cup", Quantity: 5}}); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		targets []stock.Quantity
		want    []stock.TopUp
		tea     stock.Levels
	}{
		{
			[]stock.Quantity{{SKU: "tea", Quantity: 10}, {SKU: "cup", Quantity: 5}}, []stock.TopUp{},
			stock.Levels{Available: 90, Reserved: 10},
		},
		{
			[]stock.Quantity{{SKU: "tea", Quantity: 30}, {SKU: "cup", Quantity: 5}},
			[]stock.TopUp{{Number: 1, SKU: "tea", Quantity: 20}}, stock.Levels{Available: 70, Reserved: 30},
		},
		{
			[]stock.Quantity{{SKU: "tea", Quantity: 30}}, []stock.TopUp{{Number: 1, SKU: "tea", Quantity: 20}},
			stock.Levels{Available: 70, Reserved: 30},
		},
		{
			[]stock.Quantity{{SKU: "tea", Quantity: 4}}, []stock.TopUp{{Number: 1, SKU: "tea", Quantity: 20}},
			stock.Levels{Available: 70, Reserved: 30},
		},
		{[]stock.Quantity{{SKU: "tea", Quantity: 31}, {SKU: "cup", Quantity: 7}}, []stock.TopUp{
			{Number: 1, SKU: "tea", Quantity: 20}, {Number: 2, SKU: "cup", Quantity: 2}, {Number: 3, SKU: "tea", Quantity: 1},
		}, stock.Levels{Available: 69, Reserved: 31}},
	} {
		got, err := stock.AddTopUps(ctx, pool, "sale", tt.targets)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Fatalf("step %d (-want +got)\n%s", i, diff)
		}
		if diff := cmp.Diff(tt.tea, levels(t, pool, "tea")); diff != "" {
			t.Fatalf("step %d (-want +got)\n%s", i, diff)
		}
	}
}

func TestTopUpTakesAllOrNothing(t *testing.T) {
	ctx, pool := context.Background(), testdb.NewPool(t)
	seed(t, pool, stock.Quantity{SKU: "cup", Quantity: 8}, stock.Quantity{SKU: "tea", Quantity: 100})
	if err := stock.Allocate(ctx, pool, "sale",
		[]stock.Quantity{{SKU: "tea", Quantity: 10}, {SKU: "cup", Quantity: 5}}); err != nil {
		t.Fatal(err)
	}
	_, err := stock.AddTopUps(ctx, pool, "sale", []stock.Quantity{{SKU: "tea", Quantity: 20}, {SKU: "cup", Quantity: 10}})
	var short *stock.InsufficientError
	if !errors.As(err, &short) || !cmp.Equal(short.Missing, []stock.Quantity{{SKU: "cup", Quantity: 2}}) {
		t.Fatalf("%v", err)
	}
	if diff := cmp.Diff(stock.Levels{Available: 90, Reserved: 10}, levels(t, pool, "tea")); diff != "" {
		t.Fatal(diff)
	}
	if all, err := stock.TopUps(ctx, pool, "sale"); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	if all, err := stock.EndTopUps(ctx, pool, "sale"); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	if _, err := stock.AddTopUps(ctx, pool, "sale", []stock.Quantity{{SKU: "tea", Quantity: 20}}); !errors.Is(err,
		stock.ErrTopUpsEnded) {
		t.Fatalf("after the end: %v", err)
	}
	if _, err := stock.AddTopUps(ctx, pool, "sale", []stock.Quantity{{SKU: "tea", Quantity: 10}}); err != nil {
		t.Fatalf("nothing to add after the end: %v", err)
	}
}

// A top-up's units go to bucket 0, where a promotion's orders look for them.
func TestTopUpOfSpreadStock(t *testing.T) {
	ctx, pool := context.Background(), testdb.NewPool(t)
	seed(t, pool, stock.Quantity{SKU: "tea", Quantity: 100})
	if err := stock.Allocate(ctx, pool, "sale", []stock.Quantity{{SKU: "tea", Quantity: 10}}); err != nil {
		t.Fatal(err)
	}
	err := database.ExecuteTx(ctx, pool, func(tx *database.Tx) error { return stock.Spread(ctx, tx, "wide", "tea", 8) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stock.AddTopUps(ctx, pool, "sale", []stock.Quantity{{SKU: "tea", Quantity: 90}}); err != nil {
		t.Fatal(err)
	}
	var reserved int64
	if err := pool.QueryRow(ctx,
		"SELECT reserved FROM stock WHERE sku = 'tea' AND bucket = 0").Scan(&reserved); err != nil ||
		reserved != 90 {
		t.Fatalf("%d reserved in bucket 0, want 90: %v", reserved, err)
	}
	if diff := cmp.Diff(stock.Levels{Available: 10, Reserved: 90}, levels(t, pool, "tea")); diff != "" {
		t.Fatal(diff)
	}
}

// Two operators at once move no more than the highest target, and none moves anything once
// the other has ended it.
func TestTopUpsAtOnce(t *testing.T) {
	ctx, pool := context.Background(), testdb.NewPool(t)
	seed(t, pool, stock.Quantity{SKU: "tea", Quantity: 1000})
	if err := stock.Allocate(ctx, pool, "sale", []stock.Quantity{{SKU: "tea", Quantity: 10}}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, err := stock.AddTopUps(ctx, pool, "sale", []stock.Quantity{{SKU: "tea", Quantity: int64(20 + 10*i)}})
			if err != nil && !errors.Is(err, stock.ErrTopUpsEnded) {
				errs[i] = fmt.Errorf("target %d: %w", 20+10*i, err)
			}
		})
	}
	var ended []stock.TopUp
	wg.Go(func() {
		var err error
		if ended, err = stock.EndTopUps(ctx, pool, "sale"); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	all, err := stock.TopUps(ctx, pool, "sale")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ended, all); diff != "" {
		t.Fatalf("added after the end (-want +got)\n%s", diff)
	}
	want := int64(10)
	for _, topUp := range all {
		want += topUp.Quantity
	}
	if got := levels(t, pool, "tea"); got.Reserved != want || want > 90 {
		t.Fatalf("%d reserved, top-ups say %d", got.Reserved, want)
	}
}
