package number

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := uuid.UUID(rapid.SliceOfN(
			rapid.Byte(), 16, 16,
		).Filter(func(b []byte) bool { return uuid.UUID(b) != uuid.Nil }).Draw(t, "id"))
		got, err := Parse(Of(id))
		if err != nil || got != id || len(Of(id)) != 32 {
			t.Fatalf("%s became %s, %v", id, got, err)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "1", strings.Repeat("0", 32), strings.Repeat("A", 32), strings.Repeat("a", 31), strings.Repeat("a", 33),
		"0197e1c2-0000-4000-8000-00000000000a",
		"{0197e1c200004000800000000000000}", strings.Repeat("g", 32),
	} {
		if id, err := Parse(text); err == nil {
			t.Errorf("%q was taken as %s", text, id)
		}
	}
}
