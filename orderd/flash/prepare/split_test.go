package prepare_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/flash/prepare"
)

func TestSplitIsExactAndEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int32Range(1, 100).Draw(t, "partitions")
		items := rapid.SliceOfDistinct(rapid.Custom(func(t *rapid.T) prepare.Item {
			return prepare.Item{
				SKU:      rapid.StringN(1, 8, -1).Draw(t, "sku"),
				Quantity: rapid.Int64Range(0, 1e6).Draw(t, "quantity"),
			}
		}), func(i prepare.Item) string { return i.SKU }).Draw(t, "items")
		shards := prepare.Split(items, n)
		if diff := cmp.Diff(shards, prepare.Split(items, n)); diff != "" {
			t.Fatalf("a second split differs:\n%s", diff)
		}
		for i, item := range items {
			var sum int64
			for _, shard := range shards {
				q := shard[i].Quantity
				if q < item.Quantity/int64(n) || q > (item.Quantity+int64(n)-1)/int64(n) {
					t.Fatalf("a shard of %d for %d over %d", q, item.Quantity, n)
				}
				sum += q
			}
			if sum != item.Quantity {
				t.Fatalf("shards of %s add up to %d, want %d", item.SKU, sum, item.Quantity)
			}
		}
	})
}
