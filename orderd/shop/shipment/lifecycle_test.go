package shipment

import (
	"errors"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

func TestEveryPairOfStateAndEvent(t *testing.T) {
	states := []State{"", Requested, InTransit, Delivered, Exception}
	events := []Event{Request, Accept, Ship, Deliver, Fail, Find}
	want := map[State]map[Event]State{
		"":        {Request: Requested},
		Requested: {Accept: Requested, Ship: InTransit, Fail: Exception},
		InTransit: {Deliver: Delivered, Fail: Exception},
		Delivered: {},
		Exception: {Find: Delivered},
	}
	for _, from := range states {
		if from != "" && from.proto() == 0 {
			t.Errorf("%s has no name in the API", from)
		}
		for _, event := range events {
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
