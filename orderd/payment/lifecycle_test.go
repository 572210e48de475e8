package payment

import (
	"errors"
	"testing"

	"github.com/orderd-dev/orderd/orderd/lifecycle"
)

func TestEveryPairOfStateAndEvent(t *testing.T) {
	states := []State{"", Created, Pending, Succeeded, Failed, Closed}
	events := []Event{Create, Submit, Succeed, Fail, Close}
	want := map[State]map[Event]State{
		"":        {Create: Created},
		Created:   {Submit: Pending, Succeed: Succeeded, Fail: Failed, Close: Closed},
		Pending:   {Succeed: Succeeded, Fail: Failed},
		Succeeded: {},
		Failed:    {Succeed: Succeeded},
		Closed:    {Succeed: Succeeded},
	}
	for _, from := range states {
		if from != "" && from.proto() == 0 {
			t.Errorf("%s has no name in the API", from)
		}
		for _, event := range events {
			got, err := transitions.Next(from, event)
			to, allowed := want[from][event]
			var refused *lifecycle.Refused
			if allowed && (err != nil || got != to) {
				t.Errorf("%s in %q: %q, %v; want %q", event, from, got, err, to)
			}
			if !allowed && !errors.As(err, &refused) {
				t.Errorf("%s in %q: %q, %v; want a refusal", event, from, got, err)
			}
		}
	}
}
