package pace

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestErrorsAreRetriedSoonHoweverManyThereWere(t *testing.T) {
	limiter := RateLimiter()
	request := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "shop"}}
	if got := limiter.When(request); got != 100*time.Millisecond {
		t.Errorf("the first retry is after %s, want 100ms", got)
	}
	for range 100 {
		if got := limiter.When(request); got > 10*time.Second {
			t.Fatalf("a retry is after %s, want 10s at most", got)
		}
	}
}

func TestRefusalsAreTriedLessAndLessOften(t *testing.T) {
	begin := time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		refusedFor time.Duration
		// deadline after the last refusal; nil: it is overdue.
		deadline *time.Duration
		want     time.Duration
	}{
		"at first":                        {0, in(24 * time.Hour), 2 * time.Second},
		"for a minute":                    {time.Minute, in(24 * time.Hour), time.Minute},
		"for a week":                      {7 * 24 * time.Hour, in(24 * time.Hour), 5 * time.Minute},
		"for a week, soon due":            {7 * 24 * time.Hour, in(time.Minute), 15 * time.Second},
		"for a week, due in a second":     {7 * 24 * time.Hour, in(time.Second), 2 * time.Second},
		"for a week, and the deadline is": {7 * 24 * time.Hour, in(0), 10 * time.Second},
		"for a week, overdue":             {7 * 24 * time.Hour, nil, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var b Backoff
			b.Wait("sale", begin, begin.Add(time.Hour))
			now := begin.Add(tt.refusedFor)
			var deadline time.Time
			if tt.deadline != nil {
				deadline = now.Add(*tt.deadline)
			}
			if got := b.Wait("sale", now, deadline); got != tt.want {
				t.Errorf("Wait() = %s, want %s", got, tt.want)
			}
			if got := b.Wait("another", now, deadline); got != 2*time.Second {
				t.Errorf("another thing waits %s", got)
			}
			b.Forget("sale")
			if got := b.Wait("sale", now, deadline); got != 2*time.Second {
				t.Errorf("it is not forgotten: %s", got)
			}
		})
	}
}

func in(d time.Duration) *time.Duration { return &d }
