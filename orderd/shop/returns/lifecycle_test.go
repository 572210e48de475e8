package returns

import (
	"errors"
	"slices"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

func TestEveryPairOfStateAndEvent(t *testing.T) {
	states := []State{"", Requested, Approved, Rejected, InTransit, Received, Refunded, Cancelled}
	events := []Event{Request, Approve, Reject, Cancel, Send, Receive, Inspect, Refund, RefundOnly}
	want := map[State]map[Event]State{
		"":        {Request: Requested},
		Requested: {Approve: Approved, Reject: Rejected, Cancel: Cancelled},
		Approved:  {Send: InTransit, Cancel: Cancelled, RefundOnly: Refunded},
		InTransit: {Receive: Received},
		Received:  {Inspect: Received, Refund: Refunded},
	}
	for _, from := range states {
		if from != "" && from.proto() == 0 {
			t.Errorf("%s has no name in the API", from)
		}
		// A return holds its units exactly as long as something can still happen to it.
		if from != "" && slices.Contains(open(), string(from)) != (len(transitions[from]) > 0) {
			t.Errorf("%s: open is %t, but it has %d events", from, slices.Contains(open(), string(from)), len(transitions[from]))
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
