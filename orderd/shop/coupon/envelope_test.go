package coupon

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Whatever the pool, the parts and the seed: all parts are exactly the pool, and none is
// below one minor unit.
func TestPartsAreThePool(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.Int64Range(1, 3000).Draw(t, "parts")
		most := rapid.SampledFrom([]int64{parts, parts + 1, 2 * parts, 100 * parts, 1_000_000_000_000}).Draw(t, "most")
		e := &envelope{
			seed:  rapid.SliceOfN(rapid.Byte(), seedSize, seedSize).Draw(t, "seed"),
			parts: parts, pool: rapid.Int64Range(parts, most).Draw(t, "pool"),
		}
		var sum int64
		for i := range e.parts {
			part := e.part(i)
			if part < 1 {
				t.Fatalf("part %d is %d", i, part)
			}
			sum += part
		}
		if sum != e.pool {
			t.Fatalf("the parts sum to %d, want %d", sum, e.pool)
		}
	})
}

// The largest that validation lets through neither overflows nor loses anything. 100,000 parts are
// looked at one by one, of a million parts and the largest pool the first and last ones.
func TestLargeEnvelopes(t *testing.T) {
	e := &envelope{seed: make([]byte, seedSize), parts: 100_000, pool: 1_000_000_000_000}
	mean := e.pool / e.parts
	var sum, least, most int64
	least = e.pool
	for i := range e.parts {
		part := e.part(i)
		sum, least, most = sum+part, min(least, part), max(most, part)
	}
	if sum != e.pool {
		t.Errorf("the parts sum to %d, want %d", sum, e.pool)
	}
	// They are random, and yet nobody gets a hundred times what others get on average.
	if least > mean/10 || most < mean*3/2 || most > 10*mean {
		t.Errorf("parts from %d to %d, of %d on average", least, most, mean)
	}
	e = &envelope{seed: make([]byte, seedSize), parts: 1_000_000, pool: 1_000_000_000_000}
	for _, i := range []int64{0, 1, e.parts / 2, e.parts - 1} {
		if part := e.part(i); part < 1 || part > 20*e.pool/e.parts {
			t.Errorf("part %d is %d", i, part)
		}
	}
}

// A part is for ever what it was: the number and the seed decide, on every machine.
func TestPartsStayWhatTheyAre(t *testing.T) {
	e := &envelope{seed: []byte("0123456789abcdef0123456789abcdef"), parts: 8, pool: 8800}
	got := make([]int64, e.parts)
	for i := range got {
		got[i] = e.part(int64(i))
	}
	want := []int64{313, 1706, 1756, 1097, 2056, 95, 1640, 137}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

func BenchmarkPart(b *testing.B) {
	e := &envelope{seed: make([]byte, seedSize), parts: 100_000, pool: 1_000_000_000}
	for i := range b.N {
		e.part(int64(i) % e.parts)
	}
}
