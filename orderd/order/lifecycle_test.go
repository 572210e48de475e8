package order

import (
	"errors"
	"testing"
)

func TestEveryPairOfStateAndEvent(t *testing.T) {
	states := []State{"", PendingPayment, Paid, Cancelled}
	events := []Event{Place, Pay, PayLate, Cancel, Expire}
	want := map[State]map[Event]State{
		"":             {Place: PendingPayment},
		PendingPayment: {Pay: Paid, Cancel: Cancelled, Expire: Cancelled},
		Paid:           {},
		Cancelled:      {PayLate: Paid},
	}
	for _, from := range states {
		for _, event := range events {
			got, err := next(from, event)
			to, allowed := want[from][event]
			var refused *TransitionError
			if allowed && (err != nil || got != to) {
				t.Errorf("%s in %q: %q, %v; want %q", event, from, got, err, to)
			}
			if !allowed && !errors.As(err, &refused) {
				t.Errorf("%s in %q: %q, %v; want a TransitionError", event, from, got, err)
			}
		}
	}
}

func TestStatesHaveAName(t *testing.T) {
	for _, tr := range transitions {
		if tr.to.proto() == 0 {
			t.Errorf("%s has no name in the API", tr.to)
		}
	}
}
