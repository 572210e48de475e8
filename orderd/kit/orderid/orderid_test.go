package orderid_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/kit/orderid"
)

func TestShortKeyIsRefused(t *testing.T) {
	if _, err := orderid.NewGenerator([]byte("short"), time.Now, rand.Reader); !errors.Is(err, orderid.ErrShortKey) {
		t.Fatalf("NewGenerator: %v, want ErrShortKey", err)
	}
}

func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, 1<<47).Draw(t, "ms")
		buyer := rapid.String().Draw(t, "buyer")
		now := time.UnixMilli(ms).UTC()
		g, err := orderid.NewGenerator(bytes.Repeat([]byte{7}, 16), func() time.Time { return now }, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		a, err := g.New(buyer)
		if err != nil {
			t.Fatal(err)
		}
		if a.Version() != 8 {
			t.Fatalf("version %d, want 8", a.Version())
		}
		if a.Variant().String() != "RFC4122" {
			t.Fatalf("variant %s", a.Variant())
		}
		if got := orderid.Time(a); !got.Equal(now) {
			t.Fatalf("time %s, want %s", got, now)
		}
		first, last := g.Range(buyer)
		if bytes.Compare(first[:], a[:]) > 0 || bytes.Compare(a[:], last[:]) > 0 {
			t.Fatalf("%s is outside %s to %s", a, first, last)
		}
		now = now.Add(time.Millisecond)
		b, err := g.New(buyer)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Compare(a[:], b[:]) >= 0 {
			t.Fatalf("%s, a millisecond later, is not above %s", b, a)
		}
	})
}
