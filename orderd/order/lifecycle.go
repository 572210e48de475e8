package order

import "fmt"

// State of an order.
type State string

// The states, as they are stored. ORDER_STATE_ before one makes its name in the API.
const (
	PendingPayment State = "PENDING_PAYMENT"
	Paid           State = "PAID"
	Cancelled      State = "CANCELLED"
)

// Event changes an order's state.
type Event string

// The events.
const (
	// Place begins an order, in either lane.
	Place Event = "place"
	// Pay is a payment's success in time.
	Pay Event = "pay"
	// PayLate is a payment's success after the order was cancelled or expired, where its stock could be taken again.
	PayLate Event = "pay_late"
	// Cancel is the buyer's wish, before payment.
	Cancel Event = "cancel"
	// Expire is the end of the time there was to pay.
	Expire Event = "expire"
)

// transitions are all there are: nothing else changes an order's state.
var transitions = []struct {
	from  State
	event Event
	to    State
}{
	{"", Place, PendingPayment},
	{PendingPayment, Pay, Paid},
	{PendingPayment, Cancel, Cancelled},
	{PendingPayment, Expire, Cancelled},
	{Cancelled, PayLate, Paid},
}

// TransitionError says that an event is not allowed in a state.
type TransitionError struct {
	From  State
	Event Event
}

// Error names both.
func (e *TransitionError) Error() string {
	return fmt.Sprintf("%s is not possible for an order in state %q", e.Event, e.From)
}

// next is the state after the event, or a *TransitionError.
func next(from State, event Event) (State, error) {
	for _, t := range transitions {
		if t.from == from && t.event == event {
			return t.to, nil
		}
	}
	return "", &TransitionError{From: from, Event: event}
}
