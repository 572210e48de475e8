package backends

import (
	"errors"
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	away, silent := errors.New("away"), errors.New("silent")
	start := time.Unix(0, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	g := &gate{patience: time.Second, silent: func() error { return silent }}
	enter := func(ms int, want error) {
		t.Helper()
		if err := g.enter(at(ms)); !errors.Is(err, want) {
			t.Errorf("after %d ms: %v, want %v", ms, err, want)
		}
	}
	enter(0, nil)
	enter(0, nil)
	g.failed(at(0), away)
	enter(249, away)
	// One may try, and no other until it is known what came of it, or for a while.
	enter(250, nil)
	enter(250, away)
	enter(1249, away)
	enter(1250, nil)
	g.failed(at(1300), away)
	enter(1799, away)
	enter(1800, nil)
	for range 20 {
		g.failed(at(2000), away)
	}
	enter(6999, away)
	enter(7000, nil)
	g.answered()
	enter(7000, nil)
	enter(7000, nil)

	g.sent(at(8000))
	g.sent(at(8900))
	enter(8999, nil)
	enter(9000, silent)
	enter(9250, nil)
	g.sent(at(9250))
	enter(10_249, silent)
	enter(10_250, silent)
	enter(10_749, silent)
	enter(10_750, nil)
	g.answered()
	g.sent(at(20_000))
	g.answered()
	enter(30_000, nil)
}
