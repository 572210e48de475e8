package members

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

// testMembers are a pod's called self, which tells changed.
func testMembers(t *testing.T, changed func([]Member)) *Members {
	t.Helper()
	m, err := New(Options{
		Own: Member{Name: "self"}, Changed: changed, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
		Jitter: func(d time.Duration) time.Duration { return d },
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMembers(t *testing.T) {
	start := time.UnixMilli(1_000_000)
	var told []string
	m := testMembers(t, func(members []Member) {
		told = nil
		for _, member := range members {
			told = append(told, member.Name)
		}
	})
	h := m.handler()
	put := func(name string, after time.Duration) {
		value, err := proto.Marshal(&flashv1.Member{Name: name, Address: name + ":8082"})
		if err != nil {
			t.Fatal(err)
		}
		h.Put(name, value, start.Add(after))
	}
	expect := func(when string, names ...string) {
		t.Helper()
		if diff := cmp.Diff(names, told); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}

	put("other", 0)
	expect("before the pod itself is a member")
	put("self", 0)
	put("third", 0)
	expect("all are there", "other", "self", "third")
	h.Delete("third")
	expect("one left", "other", "self")
	h.Delete("self")
	expect("while the pod itself is away, it keeps what it knew", "other", "self")
	put("self", time.Second)
	m.Leave(t.Context())
	expect("once it left, it is not one", "other")
	put("fourth", time.Second)
	expect("nor when others come", "fourth", "other")
}

func TestReadyNeedsTheClustersTime(t *testing.T) {
	tests := []struct {
		name string
		skew time.Duration
		want error
	}{
		{"right", 0, nil},
		{"a little fast", 400 * time.Millisecond, nil},
		{"too fast", 600 * time.Millisecond, ErrSkewed},
		{"too slow", -600 * time.Millisecond, ErrSkewed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := testMembers(t, func([]Member) {})
			// The pod's clock stands still.
			now := m.time.started
			m.time.own = func() time.Time { return now }
			if err := m.Ready(); !errors.Is(err, ErrNoTime) {
				t.Errorf("before a heartbeat: %v, want %v", err, ErrNoTime)
			}
			if _, ok := m.Now(); ok {
				t.Error("the time is known before a heartbeat")
			}
			stored := now.Add(-test.skew)
			m.beats.wrote(renewal{revision: 1})
			m.beats.saw(sighting{revision: 1, stored: stored})
			if err := m.Ready(); !errors.Is(err, test.want) {
				t.Errorf("ready: %v, want %v", err, test.want)
			}
			if got, ok := m.Now(); !ok || !got.Equal(stored) {
				t.Errorf("now %s (%v), want %s", got, ok, stored)
			}
		})
	}
}
