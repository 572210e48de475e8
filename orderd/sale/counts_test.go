package sale

import (
	"fmt"
	"testing"
)

func TestCountsAreBoundedAndKeepWhatIsUsed(t *testing.T) {
	var c Counts
	first := c.of("first")
	for i := range maxCounts + 10 {
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

// long is a counter of a log of so many orders.
type long struct {
	counter
	orders int64
}

func (l *long) Orders() int64 { return l.orders }

func TestLongLogsDoNotPushEachOtherOut(t *testing.T) {
	var c Counts
	// read counts a sale, and says whether all of its log had to be read.
	read := func(uid string, orders int64) bool {
		before := c.lastUse(uid)
		count := c.of(uid)
		known, ok := count.counter.(*long)
		if !ok {
			known = &long{}
			count.counter = known
		}
		anew := known.orders == 0
		known.orders = orders
		c.trim(uid, before)
		return anew
	}
	const most = maxCounted
	anew := map[string]int{}
	for range 10 {
		for uid, orders := range map[string]int64{"a": most / 2, "b": most / 2} {
			if read(uid, orders) {
				anew[uid]++
			}
		}
	}
	for range 10 {
		for _, uid := range []string{"a", "b", "too much"} {
			if read(uid, most/2) {
				anew[uid]++
			}
		}
	}
	if anew["a"] != 1 || anew["b"] != 1 || anew["too much"] != 10 {
		t.Errorf("read from the start so often: %v", anew)
	}
	// One that ended is asked for no more, and makes room.
	for range 3 {
		for _, uid := range []string{"a", "too much"} {
			if read(uid, most/2) {
				anew[uid]++
			}
		}
	}
	if anew["a"] != 1 || anew["too much"] != 11 {
		t.Errorf("after one ended, read from the start so often: %v", anew)
	}
}
