package breaker_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/breaker"
)

var (
	errRefused  = errors.New("refused")
	errNotAsked = errors.New("not asked")
	errBroken   = errors.New("broken")
)

func newBreaker() *breaker.Breaker {
	return breaker.New(breaker.Options{
		Name: "carrier", Failures: 3, Pause: time.Minute, NotAsked: errNotAsked, Logger: slog.New(slog.DiscardHandler),
		Answered: func(err error) bool { return err == nil || errors.Is(err, errRefused) },
	})
}

func TestBreaker(t *testing.T) {
	type step struct {
		sleep time.Duration
		fails error
		want  breaker.Result
		err   error
	}
	for name, steps := range map[string][]step{
		"what is refused is an answer": {
			{0, errRefused, breaker.Answered, errRefused}, {0, errRefused, breaker.Answered, errRefused},
			{0, errRefused, breaker.Answered, errRefused}, {0, nil, breaker.Answered, nil},
		},
		"three failures open it, and one call tries after the pause": {
			{0, errBroken, breaker.Failed, errBroken}, {0, errBroken, breaker.Failed, errBroken},
			{0, errBroken, breaker.Failed, errBroken}, {0, nil, breaker.NotAsked, errNotAsked},
			{2 * time.Minute, errBroken, breaker.Failed, errBroken}, {0, nil, breaker.NotAsked, errNotAsked},
			{2 * time.Minute, nil, breaker.Answered, nil}, {0, nil, breaker.Answered, nil},
		},
		"an answer in between counts anew": {
			{0, errBroken, breaker.Failed, errBroken}, {0, errBroken, breaker.Failed, errBroken},
			{0, nil, breaker.Answered, nil},
			{0, errBroken, breaker.Failed, errBroken}, {0, errBroken, breaker.Failed, errBroken},
			{0, nil, breaker.Answered, nil},
		},
		"callers who go away are no failures": {
			{0, context.Canceled, breaker.Failed, context.Canceled}, {0, context.Canceled, breaker.Failed, context.Canceled},
			{0, context.Canceled, breaker.Failed, context.Canceled}, {0, nil, breaker.Answered, nil},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBreaker()
			for i, s := range steps {
				time.Sleep(s.sleep)
				asked := false
				got, result, err := breaker.Do(b, func() (int, error) { asked = true; return i, s.fails })
				if result != s.want || !errors.Is(err, s.err) || asked == (s.want == breaker.NotAsked) || asked && got != i {
					t.Errorf("%s, step %d: %d, %s, %v, asked %t", name, i, got, result, err, asked)
				}
			}
		})
	}
}

func TestBreakerStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker()
		state := func() [2]bool { return [2]bool{b.Closed(), b.Open()} }
		if state() != [2]bool{true, false} {
			t.Errorf("new: closed, open = %v", state())
		}
		for range 3 {
			_, _, _ = breaker.Do(b, func() (int, error) { return 0, errBroken })
		}
		if state() != [2]bool{false, true} {
			t.Errorf("after three failures: closed, open = %v", state())
		}
		time.Sleep(2 * time.Minute)
		if state() != [2]bool{false, false} {
			t.Errorf("after the pause: closed, open = %v", state())
		}
	})
}
