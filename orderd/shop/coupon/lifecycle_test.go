package coupon

import (
	"errors"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

func TestEveryPairOfStateAndEvent(t *testing.T) {
	states := []State{"", Available, Locked, Used, Revoked}
	events := []Event{Claim, Grant, Lock, Use, UseLate, Unlock, Return, Revoke}
	want := map[State]map[Event]State{
		"":        {Claim: Available, Grant: Available},
		Available: {Lock: Locked, UseLate: Used, Revoke: Revoked},
		Locked:    {Use: Used, Unlock: Available},
		Used:      {Return: Available},
		Revoked:   {},
	}
	for _, from := range states {
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

func TestStatesHaveAName(t *testing.T) {
	for _, state := range []State{Available, Locked, Used, Revoked, Expired} {
		if state.proto() == 0 {
			t.Errorf("%s has no name in the API", state)
		}
	}
}
