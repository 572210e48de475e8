package watch

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"testing"
)

func TestTokens(t *testing.T) {
	h := testHub(t, 8)
	other, err := New(Options{
		OrderIDKey: []byte("another 16 bytes"), Random: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	p := Position{sequence: 1 << 40, check: 7}
	token := h.Token(p)
	if got, err := h.Open(token); err != nil || got != p {
		t.Errorf("%v, %v; want %v", got, err, p)
	}
	for name, token := range map[string]string{
		"nothing": "", "no base64": "%%%", "cut": token[:len(token)-2], "longer": token + "AA", "padded": token + "==",
		"another's": other.Token(p), "text": "bm90IGEgdG9rZW4gYXQgYQ",
	} {
		if p, err := h.Open(token); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: %v, %v; want ErrInvalidToken", name, p, err)
		}
	}
}

func TestPositionsOfAnotherStream(t *testing.T) {
	h := testHub(t, 3)
	for n := range byte(5) {
		h.changed(change{orderID: orderOf(1, n), version: 1, sequence: 10 * (uint64(n) + 1)})
	}
	at := func(n byte, version int64, sequence uint64) *Position {
		p := change{orderID: orderOf(1, n), version: version, sequence: sequence}.position()
		return &p
	}
	for _, test := range []struct {
		name  string
		from  *Position
		told  int
		known bool
	}{
		{"the newest", at(4, 1, 50), 0, true},
		{"the one before", at(3, 1, 40), 1, true},
		{"the oldest that is known", at(2, 1, 30), 2, true},
		{"one that is forgotten", at(1, 1, 20), 0, false},
		{"the begin, of which more is forgotten", &Position{}, 0, false},
		{"another version there", at(3, 2, 40), 0, false},
		{"another order there", at(2, 1, 40), 0, false},
		{"nothing there", at(3, 1, 41), 0, false},
		{"ahead of what was read", at(4, 1, 60), 3, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, _, err := h.Buyer(orderOf(1, 0), test.from)
			if (err == nil) != test.known || err != nil && !errors.Is(err, ErrTooOld) {
				t.Fatalf("%v, want it known: %t", err, test.known)
			}
			if err != nil {
				return
			}
			if ids, _, err := w.Take(); err != nil || len(ids) != test.told {
				t.Errorf("told of %v, %v; want %d", ids, err, test.told)
			}
		})
	}
}
