package shipment

import (
	"testing"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
)

// What events mean does not depend on the order they come in, and nothing has
// happened later than now.
func TestWhatEventsMean(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000).UTC()
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	tests := map[string]struct {
		events        []carrier.Event
		left, arrived time.Time
		failed        carrier.Code
	}{
		"nothing yet": {
			events: []carrier.Event{{Code: carrier.Accepted, At: at(-9)}, {Code: carrier.Information, At: at(-8)}},
		},
		"left": {
			events: []carrier.Event{{Code: carrier.InTransit, At: at(-5)}, {Code: carrier.Collected, At: at(-7)}},
			left:   at(-7),
		},
		"not found at home": {events: []carrier.Event{{Code: carrier.AttemptFailed, At: at(-1)}}, left: at(-1)},
		"arrived, so it had left": {
			events:  []carrier.Event{{Code: carrier.Delivered, At: at(-1)}},
			left:    at(-1),
			arrived: at(-1),
		},
		"arrived, told backwards": {
			events:  []carrier.Event{{Code: carrier.Delivered, At: at(-1)}, {Code: carrier.Collected, At: at(-3)}},
			left:    at(-3),
			arrived: at(-1),
		},
		"lost, so it had left": {
			events: []carrier.Event{{Code: carrier.Lost, At: at(-1)}},
			left:   at(-1),
			failed: carrier.Lost,
		},
		"by a clock that is ahead": {events: []carrier.Event{{Code: carrier.Delivered, At: at(60)}}, left: now, arrived: now},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			left, arrived, failed := (&work{at: now}).read(test.events)
			same := func(got *time.Time, want time.Time) bool {
				return got == nil && want.IsZero() || got != nil && got.Equal(want)
			}
			if !same(left, test.left) || !same(arrived, test.arrived) || failed != test.failed {
				t.Errorf("left %v, arrived %v, failed %q; want %v, %v, %q", left, arrived, failed, test.left, test.arrived,
					test.failed)
			}
		})
	}
}

func TestOldParcelsAreAskedForLessOften(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	s := &Store{pollInterval: 30 * time.Minute}
	for age, want := range map[time.Duration]time.Duration{
		0: 30 * time.Minute, 4 * time.Hour: 30 * time.Minute, 16 * time.Hour: 2 * time.Hour,
		8 * 24 * time.Hour: 24 * time.Hour, 365 * 24 * time.Hour: 24 * time.Hour,
	} {
		if got := s.interval(&Shipment{CreatedAt: now.Add(-age)}, now); got != want {
			t.Errorf("a parcel of %s is asked for after %s, want %s", age, got, want)
		}
	}
}
