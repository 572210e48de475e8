package stock_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func TestOnePromotionOfANameHasStock(t *testing.T) {
	ctx, pool := context.Background(), testdb.NewPool(t)
	seed(t, pool, stock.Quantity{SKU: "tea", Quantity: 100})
	name := stock.PromotionName{Namespace: "shop", Name: "sale"}
	items := []stock.Quantity{{SKU: "tea", Quantity: 10}}
	holder := func(want string) {
		t.Helper()
		if uid, err := stock.Holder(ctx, pool, name); uid != want || err != nil {
			t.Errorf("stock is held by %q, %v, want %q", uid, err, want)
		}
	}
	holder("")
	for range 2 {
		if err := stock.AllocateAs(ctx, pool, name, "first", items); err != nil {
			t.Fatal(err)
		}
	}
	holder("first")
	var held *stock.HeldError
	if err := stock.AllocateAs(ctx, pool, name, "second", items); !errors.As(err, &held) || held.UID != "first" {
		t.Fatalf("the second: %v", err)
	}
	if l, err := stock.Get(ctx, pool, "tea"); err != nil || l != (stock.Levels{Available: 90, Reserved: 10}) {
		t.Errorf("%+v, %v: want it taken once", l, err)
	}
	other := stock.PromotionName{Namespace: "shop", Name: "other"}
	if err := stock.AllocateAs(ctx, pool, other, "other", items); err != nil {
		t.Errorf("of another name: %v", err)
	}
	// Sold out: nothing comes back, and that is noted.
	if err := stock.ReturnUnsold(ctx, pool, "first", []stock.Quantity{{SKU: "tea"}}); err != nil {
		t.Fatal(err)
	}
	holder("")
	if err := stock.AllocateAs(ctx, pool, name, "second", items); err != nil {
		t.Errorf("after the first was settled: %v", err)
	}
	holder("second")
}

func TestOfManyOfANameAtTheSameMomentOneHasStock(t *testing.T) {
	ctx, pool := context.Background(), testdb.NewPool(t)
	seed(t, pool, stock.Quantity{SKU: "tea", Quantity: 100})
	name := stock.PromotionName{Namespace: "shop", Name: "sale"}
	var took atomic.Int32
	var group sync.WaitGroup
	for _, uid := range []string{"a", "b", "c", "d", "e", "f"} {
		group.Go(func() {
			err := stock.AllocateAs(ctx, pool, name, uid, []stock.Quantity{{SKU: "tea", Quantity: 10}})
			var held *stock.HeldError
			switch {
			case err == nil:
				took.Add(1)
			case !errors.As(err, &held):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if l, err := stock.Get(ctx, pool, "tea"); took.Load() != 1 || err != nil || l.Reserved != 10 {
		t.Errorf("%d took stock: %+v, %v", took.Load(), l, err)
	}
}
