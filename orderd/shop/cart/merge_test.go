package cart

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func drawCart(t *rapid.T, label string) []Item {
	codes := rapid.SliceOfNDistinct(rapid.IntRange(0, 150), 0, maxLines, rapid.ID).Draw(t, label)
	out := make([]Item, len(codes))
	for i, code := range codes {
		out[i] = Item{
			SKU:      fmt.Sprintf("SKU-%03d", code),
			Quantity: rapid.Int64Range(1, maxQuantity).Draw(t, "quantity"),
			Selected: rapid.Bool().Draw(t, "selected"),
			AddedAt:  day.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "added")) * time.Minute),
		}
	}
	return out
}

func TestMergeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		own, guest := drawCart(t, "own"), drawCart(t, "guest")
		changed, dropped := merge(own, guest)
		after := map[string]Item{}
		for _, i := range own {
			after[i.SKU] = i
		}
		for _, i := range changed {
			after[i.SKU] = i
		}
		if len(after) > maxLines {
			t.Fatalf("%d lines after the merge", len(after))
		}
		if len(changed)+len(dropped) != len(guest) {
			t.Fatalf("%d lines of the guest's became %d and %d dropped", len(guest), len(changed), len(dropped))
		}
		if len(dropped) > 0 && len(after) < maxLines {
			t.Fatalf("dropped %v with room for %d", dropped, maxLines-len(after))
		}
		lost := map[string]bool{}
		for _, sku := range dropped {
			lost[sku] = true
		}
		want := map[string]int64{}
		for _, i := range own {
			want[i.SKU] += i.Quantity
		}
		for _, i := range guest {
			if !lost[i.SKU] {
				want[i.SKU] = min(want[i.SKU]+i.Quantity, maxQuantity)
			}
		}
		got := map[string]int64{}
		for sku, i := range after {
			got[sku] = i.Quantity
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("quantities (-want +got):\n%s", diff)
		}
	})
}

func TestMerge(t *testing.T) {
	item := func(sku string, quantity int64, selected bool, minutes int) Item {
		return Item{SKU: sku, Quantity: quantity, Selected: selected, AddedAt: day.Add(time.Duration(minutes) * time.Minute)}
	}
	full := make([]Item, maxLines-1)
	for i := range full {
		full[i] = item(fmt.Sprintf("OWN-%03d", i), 1, true, i)
	}
	tests := []struct {
		name        string
		own, guest  []Item
		want        []Item
		wantDropped []string
	}{
		{name: "nothing to merge", own: full},
		{name: "into an empty cart", guest: []Item{item("A", 2, false, 1)}, want: []Item{item("A", 2, false, 1)}},
		{
			name: "the same SKU adds up, is selected if either was, and keeps its place",
			own:  []Item{item("A", 1, false, 1)}, guest: []Item{item("A", 2, true, 9)}, want: []Item{item("A", 3, true, 1)},
		},
		{
			name:  "up to the limit",
			own:   []Item{item("A", 9000, true, 1)},
			guest: []Item{item("A", 1000, true, 1)},
			want:  []Item{item("A", maxQuantity, true, 1)},
		},
		{
			name: "the oldest find no room", own: full,
			guest:       []Item{item("OLD", 1, true, 1), item("NEW", 1, true, 3), item("MIDDLE", 1, true, 2)},
			want:        []Item{item("NEW", 1, true, 3)},
			wantDropped: []string{"MIDDLE", "OLD"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			changed, dropped := merge(tt.own, tt.guest)
			if diff := cmp.Diff(tt.want, changed); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantDropped, dropped); diff != "" {
				t.Errorf("dropped (-want +got):\n%s", diff)
			}
		})
	}
}
