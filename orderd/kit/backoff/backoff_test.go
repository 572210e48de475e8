package backoff_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
)

func TestDelay(t *testing.T) {
	p := backoff.Policy{First: 100 * time.Millisecond, Max: time.Second}
	for _, tt := range []struct {
		attempts int
		want     time.Duration
	}{
		{-1, 100 * time.Millisecond}, {0, 100 * time.Millisecond}, {1, 100 * time.Millisecond}, {2, 200 * time.Millisecond},
		{4, 800 * time.Millisecond}, {5, time.Second}, {1 << 40, time.Second},
	} {
		if got := p.Delay(tt.attempts); got != tt.want {
			t.Errorf("Delay(%d) = %s, want %s", tt.attempts, got, tt.want)
		}
	}
}

func TestJitterStaysBetweenHalfAndOneAndAHalf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "delay"))
		r := backoff.NewRandom(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)))
		if got := r.Jitter(d); got < d/2 || got > d/2+d {
			t.Fatalf("Jitter(%s) = %s", d, got)
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if err := backoff.Wait(t.Context(), time.Minute); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("Wait: %v after %s", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if err := backoff.Wait(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(begin) != time.Second {
			t.Errorf("Wait with a context that ends: %v after %s", err, time.Since(begin))
		}
	})
}
