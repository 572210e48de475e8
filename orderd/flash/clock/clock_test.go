package clock_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/flash/clock"
)

// world is a server whose clock drifts against the pod's monotonic one by up to 200 ppm either way,
// and what the pod knows of it.
type world struct {
	clock.Clock
	// elapsed of the pod, and the server's time then.
	elapsed time.Duration
	server  time.Time
	// ppm is how much more the server counts than the pod.
	ppm int64
	// best round trip so far.
	best time.Duration
}

func (w *world) pass(d time.Duration) {
	w.elapsed += d
	w.server = w.server.Add(d + d*time.Duration(w.ppm)/1_000_000)
}

// heartbeat with the way there and back. The pod may be paused in either.
func (w *world) heartbeat(there, back time.Duration) {
	sent := w.elapsed
	w.pass(there)
	stored := w.server
	w.pass(back)
	w.Observe(sent, w.elapsed, stored)
	if trip := there + back; w.best == 0 || trip < w.best {
		w.best = trip
	}
}

func start() time.Time { return time.UnixMilli(1_800_000_000_000).UTC() }

func TestNeverAheadOfTheServerAndNearIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{server: start(), ppm: rapid.Int64Range(-199, 199).Draw(t, "ppm")}
		if _, ok := w.Now(0); ok {
			t.Fatal("the time is known before any heartbeat")
		}
		way := rapid.OneOf(rapid.Int64Range(0, int64(10*time.Millisecond)), rapid.Int64Range(0, int64(10*time.Second)))
		began := time.Duration(0)
		for i := range rapid.IntRange(1, 30).Draw(t, "heartbeats") {
			w.heartbeat(time.Duration(way.Draw(t, "there")), time.Duration(way.Draw(t, "back")))
			if i == 0 {
				began = w.elapsed
			}
			w.pass(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "pause")))
			now, ok := w.Now(w.elapsed)
			if !ok || now.After(w.server) {
				t.Fatalf("now %s (%v) is ahead of the server's %s", now, ok, w.server)
			}
			// Behind by the best round trip, and by what two clocks drift apart since.
			if behind, allowed := w.server.Sub(now), w.best+(w.best+w.elapsed-began)/2500+time.Microsecond; behind > allowed {
				t.Fatalf("now is %s behind the server, best round trip %s, allowed %s", behind, w.best, allowed)
			}
		}
	})
}

func TestTheWallClockMakesNoDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{server: start()}
		w.heartbeat(time.Millisecond, 2*time.Millisecond)
		step := time.Duration(rapid.Int64Range(int64(-24*time.Hour), int64(24*time.Hour)).Draw(t, "step"))
		before, _ := w.Now(w.elapsed)
		skew, ok := w.Skew(w.elapsed, w.server.Add(step))
		after, _ := w.Now(w.elapsed)
		if !before.Equal(after) {
			t.Fatalf("now went from %s to %s", before, after)
		}
		// The interval is 3 ms wide: that much less than the whole step is certain.
		otherWay := skew != 0 && (skew > 0) != (step > 0)
		if diff := step - skew; !ok || diff > 3*time.Millisecond || diff < -3*time.Millisecond || otherWay {
			t.Fatalf("skew %s of a step by %s", skew, step)
		}
	})
}

// Each heartbeat meets one of up to three servers, whose clocks differ. What a round trip cannot
// tell apart counts as one.
func TestNeverAheadOfAnyServerThatAnsweredLately(t *testing.T) {
	const (
		remembered = 5
		trip       = 2 * time.Millisecond
	)
	rapid.Check(t, func(t *rapid.T) {
		offsets := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Minute)), 1, 3).Draw(t, "servers")
		w := &world{server: start()}
		var lately []time.Duration
		for range rapid.IntRange(1, 40).Draw(t, "heartbeats") {
			offset := time.Duration(rapid.SampledFrom(offsets).Draw(t, "server"))
			sent := w.elapsed
			w.pass(trip / 2)
			stored := w.server.Add(offset)
			w.pass(trip / 2)
			w.Observe(sent, w.elapsed, stored)
			lately = append(lately, offset)
			lowest := slices.Min(lately[max(0, len(lately)-remembered):])
			now, _ := w.Now(w.elapsed)
			if now.After(w.server.Add(lowest + trip)) {
				t.Fatalf("now is %s ahead of the slowest server of the last %d", now.Sub(w.server.Add(lowest)), remembered)
			}
			// Once one server has answered twice that often in a row, its clock counts.
			last := slices.Compact(slices.Clone(lately[max(0, len(lately)-2*remembered):]))
			if behind := w.server.Add(lowest).Sub(now); len(lately) >= 2*remembered && len(last) == 1 && behind > 2*trip {
				t.Fatalf("now is %s behind the only server of the last %d", behind, 2*remembered)
			}
			w.pass(time.Second)
		}
	})
}

func TestSkew(t *testing.T) {
	tests := []struct {
		name string
		wall time.Duration
		want time.Duration
	}{
		{"right", 0, 0},
		{"within what a heartbeat tells", 900 * time.Microsecond, 0},
		{"a second ahead", time.Second, 999 * time.Millisecond},
		{"a second behind", -time.Second, -999 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := &world{server: start()}
			if _, ok := w.Skew(0, w.server); ok {
				t.Error("the skew is known before any heartbeat")
			}
			w.heartbeat(time.Millisecond, time.Millisecond)
			if got, _ := w.Skew(w.elapsed, w.server.Add(test.wall)); (got - test.want).Abs() > time.Microsecond {
				t.Errorf("skew %s, want %s", got, test.want)
			}
		})
	}
}

func TestAnAnswerBeforeItsQuestionIsIgnored(t *testing.T) {
	var c clock.Clock
	c.Observe(time.Second, 0, start())
	if _, ok := c.Now(time.Second); ok {
		t.Error("it was believed")
	}
}

func BenchmarkNow(b *testing.B) {
	var c clock.Clock
	c.Observe(0, time.Millisecond, start())
	b.ReportAllocs()
	for b.Loop() {
		if now, ok := c.Now(time.Second); !ok || now.IsZero() {
			b.Fatal("no time")
		}
	}
}
