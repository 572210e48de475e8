// Package lifecycle follows a life cycle's table. Each domain has its own table, in its
// lifecycle.go, and nothing else changes a state of that domain.
package lifecycle

import "fmt"

// Table has, for each state, the events that are possible in it and the states they lead to. The
// empty state is before the beginning.
type Table[S, E ~string] map[S]map[E]S

// RefusedError says that the event is not possible in the state.
type RefusedError struct{ State, Event string }

// Error names both.
func (r *RefusedError) Error() string {
	return fmt.Sprintf("%s is not possible in state %q", r.Event, r.State)
}

// Next is the state after the event, or a *RefusedError.
func (t Table[S, E]) Next(from S, event E) (S, error) {
	if to, ok := t[from][event]; ok {
		return to, nil
	}
	return "", &RefusedError{State: string(from), Event: string(event)}
}
