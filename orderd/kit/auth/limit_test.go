package auth

import (
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"pgregory.net/rapid"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// take is a request that is answered at once.
func take(l *limiter, c Caller) error {
	asking, err := l.take(c)
	asking.answered()
	return err
}

func TestLimits(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	l, err := newLimiter(Limits{PerSecond: 10, Burst: 3}, Limits{PerSecond: 1000, Burst: 50},
		func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	ann := Caller{Subject: "ann", Acting: RolesOf(accessv1.Role_ROLE_BUYER)}
	for i := range 3 {
		if err := take(l, ann); err != nil {
			t.Errorf("request %d of a burst of 3: %v", i+1, err)
		}
	}
	for range 5 {
		err := take(l, ann)
		if connect.CodeOf(err) != connect.CodeResourceExhausted || rpcerr.Reason(err) != "RATE_LIMITED" {
			t.Errorf("one too many: %v, want RESOURCE_EXHAUSTED/RATE_LIMITED", err)
		}
		// A refused request does not cost the caller anything.
		if after, ok := rpcerr.RetryAfter(err); !ok || after != 100*time.Millisecond {
			t.Errorf("retry after %s, %t; want 100ms", after, ok)
		}
	}
	if err := take(l, Caller{Subject: "bob", Acting: ann.Acting}); err != nil {
		t.Errorf("another caller: %v", err)
	}
	now = now.Add(100 * time.Millisecond)
	if err := take(l, ann); err != nil {
		t.Errorf("after the delay: %v", err)
	}
	if take(l, ann) == nil {
		t.Error("a second request after the delay for one was let in")
	}
	backend := Caller{Subject: "ann", Acting: RolesOf(accessv1.Role_ROLE_CHECKOUT)}
	for i := range 50 {
		if err := take(l, backend); err != nil {
			t.Errorf("request %d of a service whose burst is 50: %v", i+1, err)
		}
	}
	if take(l, backend) == nil {
		t.Error("request 51 of a service whose burst is 50 was let in")
	}
}

// A caller has the limits of a service while a role of one lets it in, and of a person otherwise.
func TestWhoHasAServicesLimits(t *testing.T) {
	buyer := RolesOf(accessv1.Role_ROLE_BUYER)
	for _, tt := range []struct {
		name    string
		acting  Roles
		service bool
	}{
		{"a buyer", buyer, false},
		{"support", RolesOf(accessv1.Role_ROLE_SUPPORT), false},
		{"staff with every role", StaffRoles | buyer, false},
		{"checkout", RolesOf(accessv1.Role_ROLE_CHECKOUT), true},
		{"checkout that is a buyer too", RolesOf(accessv1.Role_ROLE_CHECKOUT) | buyer, true},
		{"admission", RolesOf(accessv1.Role_ROLE_ADMISSION), true},
		{"a PIM", RolesOf(accessv1.Role_ROLE_CATALOG_SYNC), true},
		{"a WMS", RolesOf(accessv1.Role_ROLE_FULFILMENT_SYNC), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := newLimiter(Limits{PerSecond: 1, Burst: 1}, Limits{PerSecond: 1, Burst: 2}, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			caller := Caller{Subject: "one", Roles: StaffRoles | ServiceRoles | buyer, Acting: tt.acting}
			if err := take(l, caller); err != nil {
				t.Fatal(err)
			}
			if again := take(l, caller) == nil; again != tt.service {
				t.Errorf("a second request was let in: %t, want %t", again, tt.service)
			}
		})
	}
}

func TestNoLimit(t *testing.T) {
	l, err := newLimiter(Limits{PerSecond: 1, Burst: 1}, Limits{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if err := take(l, Caller{Subject: "backend", Acting: RolesOf(accessv1.Role_ROLE_CHECKOUT)}); err != nil {
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
		l, err := newLimiter(limits, Limits{}, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		ann := Caller{Subject: "ann", Acting: RolesOf(accessv1.Role_ROLE_BUYER)}
		let := 0
		for range rapid.IntRange(1, 100).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "pause")) * time.Millisecond)
			err := take(l, ann)
			if err != nil {
				after, _ := rpcerr.RetryAfter(err)
				now = now.Add(after + time.Microsecond)
				err = take(l, ann)
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

func TestInFlight(t *testing.T) {
	l, err := newLimiter(Limits{PerSecond: 1000, Burst: 1000, InFlight: 2}, Limits{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ann := Caller{Subject: "ann", Acting: RolesOf(accessv1.Role_ROLE_BUYER)}
	var inFlight []*asking
	let := func(c Caller, want bool) {
		t.Helper()
		asking, err := l.take(c)
		switch {
		case want && err == nil:
			inFlight = append(inFlight, asking)
		case want:
			t.Errorf("%s was refused: %v", c.Subject, err)
		case connect.CodeOf(err) != connect.CodeResourceExhausted || rpcerr.Reason(err) != "RATE_LIMITED" ||
			rpcerr.Metadata(err)["limit"] != "inFlight":
			t.Errorf("%s: %v, want RESOURCE_EXHAUSTED/RATE_LIMITED for what is in flight", c.Subject, err)
		default:
			if after, ok := rpcerr.RetryAfter(err); !ok || after <= 0 {
				t.Errorf("retry after %s, %t; want a delay", after, ok)
			}
		}
	}
	let(ann, true)
	let(ann, true)
	let(ann, false)
	let(Caller{Subject: "bob", Acting: ann.Acting}, true)
	for range 100 {
		let(Caller{Subject: "ann", Acting: RolesOf(accessv1.Role_ROLE_CHECKOUT)}, true)
	}
	inFlight[0].answered()
	let(ann, true)
	let(ann, false)
}
