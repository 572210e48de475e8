package members

import (
	"testing"
	"time"

	"github.com/orderd-dev/orderd/orderd/flash/clock"
)

func TestHeartbeatsSetTheClock(t *testing.T) {
	stored := time.UnixMilli(1_800_000_000_000).UTC()
	const second = time.Second
	tests := []struct {
		name string
		do   func(h *beats)
		// want is the cluster's time at 10 s after stored 0, to the 200 ppm of drift; 0: not known.
		want time.Duration
	}{
		{"the watch first", func(h *beats) {
			h.saw(sighting{7, 2 * second, stored})
			h.wrote(renewal{7, 1 * second, 3 * second})
		}, 8 * second},
		{"the acknowledgement first", func(h *beats) {
			h.wrote(renewal{7, 1 * second, 2 * second})
			h.saw(sighting{7, 5 * second, stored})
		}, 8 * second},
		{"another pod's revision in between", func(h *beats) {
			h.wrote(renewal{7, 1 * second, 2 * second})
			h.saw(sighting{6, 3 * second, stored.Add(-time.Hour)})
		}, 0},
		{"a bucket made anew, with the revisions of the old", func(h *beats) {
			h.saw(sighting{7, 1 * second, stored.Add(-time.Hour)})
			h.wrote(renewal{7, 2 * second, 3 * second})
			h.saw(sighting{7, 4 * second, stored})
		}, 7 * second},
		{"the watch is two renewals late", func(h *beats) {
			h.wrote(renewal{7, 1 * second, 2 * second})
			h.wrote(renewal{8, 3 * second, 4 * second})
			h.saw(sighting{7, 5 * second, stored})
		}, 8 * second},
		{"only some are kept", func(h *beats) {
			for i := range uint64(100) {
				h.wrote(renewal{i, 1 * second, 2 * second})
			}
			if len(h.renewed) != beatsKept {
				t.Errorf("%d are kept", len(h.renewed))
			}
			h.saw(sighting{7, 5 * second, stored})
		}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := &beats{clock: &clock.Clock{}}
			test.do(h)
			now, ok := h.clock.Now(10 * second)
			if ok != (test.want != 0) {
				t.Fatalf("known: %v", ok)
			}
			if got := now.Sub(stored); ok && (got-test.want).Abs() > 10*time.Millisecond {
				t.Errorf("%s after it was stored, want %s", got, test.want)
			}
		})
	}
}
