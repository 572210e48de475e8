package invoice

import (
	"errors"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

func TestEveryPairOfStateAndEvent(t *testing.T) {
	want := map[State]map[Event]State{
		"":        {Request: Requested},
		Requested: {Change: Requested, Issue: Issued, Reject: Rejected},
		Issued:    {Void: Voided},
	}
	open := map[State]bool{Requested: true, Issued: true}
	for _, from := range []State{"", Requested, Issued, Rejected, Voided} {
		if from != "" && from.proto() == 0 {
			t.Errorf("%s has no name in the API", from)
		}
		// The database holds an order to one of these, and a next one may follow the others.
		if from != "" && from.open() != open[from] {
			t.Errorf("%s: open is %t", from, from.open())
		}
		for _, event := range []Event{Request, Change, Issue, Reject, Void} {
			got, err := transitions.Next(from, event)
			to, allowed := want[from][event]
			var refused *lifecycle.RefusedError
			if allowed && (err != nil || got != to) {
				t.Errorf("%s in %q: %q, %v; want %q", event, from, got, err, to)
			}
			if !allowed && !errors.As(err, &refused) {
				t.Errorf("%s in %q: %q, %v; want a refusal", event, from, got, err)
			}
		}
	}
}
