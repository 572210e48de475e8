package sale

import (
	"fmt"
	"testing"
)

func TestCountsAreBoundedAndKeepWhatIsUsed(t *testing.T) {
	var c Counts
	first := c.of("first")
	for i := range 3 * maxCounts {
		c.of(fmt.Sprint(i))
		if c.of("first") != first {
			t.Fatalf("what is used was dropped after %d others", i)
		}
	}
	if len(c.kept) != maxCounts {
		t.Errorf("%d counts are kept, want %d", len(c.kept), maxCounts)
	}
	c.closed("first", []Total{{SKU: "a"}})
	if totals := c.of("first").closed.Load(); totals == nil || len(*totals) != 1 {
		t.Errorf("totals of closed partitions: %v", totals)
	}
	c.drop("first")
	if c.of("first").closed.Load() != nil {
		t.Error("what was dropped is still there")
	}
}
