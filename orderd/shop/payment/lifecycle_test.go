package payment

import (
	"errors"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

// walk tries every pair of state and event.
func walk(t *testing.T, table lifecycle.Table[State, Event], want map[State]map[Event]State) {
	t.Helper()
	events := []Event{Create, Request, Submit, Succeed, Fail, Close, Retry}
	for from := range table {
		if _, ok := want[from]; !ok {
			t.Errorf("%q is no state of this life cycle", from)
		}
	}
	for from := range want {
		for _, event := range events {
			got, err := table.Next(from, event)
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

func TestEveryPairOfStateAndEventOfPayments(t *testing.T) {
	want := map[State]map[Event]State{
		"":        {Create: Created},
		Created:   {Submit: Pending, Succeed: Succeeded, Fail: Failed, Close: Closed},
		Pending:   {Succeed: Succeeded, Fail: Failed, Close: Closed},
		Succeeded: {},
		Failed:    {Succeed: Succeeded},
		Closed:    {Succeed: Succeeded},
	}
	walk(t, Transitions(), want)
	for s := range want {
		if s != "" && s.proto() == 0 {
			t.Errorf("%s has no name in the API", s)
		}
	}
}

func TestEveryPairOfStateAndEventOfRefunds(t *testing.T) {
	want := map[State]map[Event]State{
		"":        {Request: Requested},
		Requested: {Submit: Pending, Succeed: Succeeded, Fail: Failed},
		Pending:   {Succeed: Succeeded, Fail: Failed},
		Succeeded: {},
		Failed:    {Retry: Requested, Succeed: Succeeded},
	}
	walk(t, RefundTransitions(), want)
	for s := range want {
		if s != "" && s.refundProto() == 0 {
			t.Errorf("%s has no name in the API", s)
		}
	}
}
