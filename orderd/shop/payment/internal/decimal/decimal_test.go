package decimal

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "0.00": 0, "0.01": 1, "0.1": 10, "88": 8800, "88.8": 8880, "88.88": 8888, "-88.88": -8888,
		"92233720368547758.07": math.MaxInt64,
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ".", ".5", "5.", "1.234", "1.000", "1e2", "+1", " 1", "1 ", "--1", "0x1", "1,000.00", "92233720368547758.08",
		"99999999999999999999", "１",
	} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q was taken as %d", text, got)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64Min(-math.MaxInt64).Draw(t, "minor")
		if got, err := Parse(Format(minor)); err != nil || got != minor {
			t.Fatalf("%d became %q, %d, %v", minor, Format(minor), got, err)
		}
	})
}
