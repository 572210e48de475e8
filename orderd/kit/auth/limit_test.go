package auth

import (
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"pgregory.net/rapid"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func TestLimits(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	l, err := newRateLimiter(Limits{PerSecond: 10, Burst: 3}, Limits{PerSecond: 1000, Burst: 50},
		func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	ann := Caller{Subject: "ann", Acting: RolesOf(accessv1.Role_ROLE_BUYER)}
	for i := range 3 {
		if err := l.take(ann); err != nil {
			t.Errorf("request %d of a burst of 3: %v", i+1, err)
		}
	}
	for range 5 {
		err := l.take(ann)
		if connect.CodeOf(err) != connect.CodeResourceExhausted || rpcerr.Reason(err) != "RATE_LIMITED" {
			t.Errorf("one too many: %v, want RESOURCE_EXHAUSTED/RATE_LIMITED", err)
		}
		// A refused request does not cost the caller anything.
		if after, ok := rpcerr.RetryAfter(err); !ok || after != 100*time.Millisecond {
			t.Errorf("retry after %s, %t; want 100ms", after, ok)
		}
	}
	if err := l.take(Caller{Subject: "bob", Acting: ann.Acting}); err != nil {
		t.Errorf("another caller: %v", err)
	}
	now = now.Add(100 * time.Millisecond)
	if err := l.take(ann); err != nil {
		t.Errorf("after the delay: %v", err)
	}
	if l.take(ann) == nil {
		t.Error("a second request after the delay for one was let in")
	}
	backend := Caller{Subject: "ann", Acting: RolesOf(accessv1.Role_ROLE_SERVICE)}
	for i := range 50 {
		if err := l.take(backend); err != nil {
			t.Errorf("request %d of a service whose burst is 50: %v", i+1, err)
		}
	}
	if l.take(backend) == nil {
		t.Error("request 51 of a service whose burst is 50 was let in")
	}
}

func TestNoLimit(t *testing.T) {
	l, err := newRateLimiter(Limits{PerSecond: 1, Burst: 1}, Limits{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if err := l.take(Caller{Subject: "backend", Acting: RolesOf(accessv1.Role_ROLE_SERVICE)}); err != nil {
			t.Fatalf("a service without a limit: %v", err)
		}
	}
}

// TestLimitsHold: whenever requests come, a caller never does more than the burst and what time has
// added, and a request that comes after the delay it was told is let in.
func TestLimitsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{
			PerSecond: rapid.IntRange(1, 100).Draw(t, "per second"),
			Burst:     rapid.IntRange(1, 20).Draw(t, "burst"),
		}
		begin := time.UnixMilli(1_800_000_000_000)
		now := begin
		l, err := newRateLimiter(limits, Limits{}, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		ann := Caller{Subject: "ann", Acting: RolesOf(accessv1.Role_ROLE_BUYER)}
		let := 0
		for range rapid.IntRange(1, 100).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "pause")) * time.Millisecond)
			err := l.take(ann)
			if err != nil {
				after, _ := rpcerr.RetryAfter(err)
				now = now.Add(after + time.Microsecond)
				err = l.take(ann)
			}
			if err != nil {
				t.Fatalf("after the delay: %v", err)
			}
			let++
			most := float64(limits.Burst) + now.Sub(begin).Seconds()*float64(limits.PerSecond) + 0.001
			if float64(let) > most {
				t.Fatalf("%d requests in %s with %+v", let, now.Sub(begin), limits)
			}
		}
	})
}
