package payment

import (
	"fmt"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
)

// State of a payment.
type State string

// The states, as they are stored. PAYMENT_STATE_ before one makes its name in the API.
const (
	// Created: reserved here, and perhaps not known to the provider yet.
	Created State = "CREATED"
	// Pending: the buyer can pay.
	Pending   State = "PENDING"
	Succeeded State = "SUCCEEDED"
	Failed    State = "FAILED"
	// Closed: the order could not be paid any more before the buyer had where to pay.
	Closed State = "CLOSED"
)

// Event changes a payment's state.
type Event string

// The events.
const (
	Create Event = "create"
	// Submit is the provider's answer to our create call.
	Submit Event = "submit"
	// Succeed is the provider's notification that it has the buyer's money.
	Succeed Event = "succeed"
	// Fail is its notification that it will not get it.
	Fail  Event = "fail"
	Close Event = "close"
)

// transitions are all there are: nothing else changes a payment's state. A success is taken from every
// state without one, because the money is there whatever we believed before.
var transitions = []struct {
	from  State
	event Event
	to    State
}{
	{"", Create, Created},
	{Created, Submit, Pending},
	{Created, Close, Closed},
	// A notification may come before our create call returned.
	{Created, Succeed, Succeeded},
	{Created, Fail, Failed},
	{Pending, Succeed, Succeeded},
	{Pending, Fail, Failed},
	{Failed, Succeed, Succeeded},
	{Closed, Succeed, Succeeded},
}

// TransitionError says that an event is not allowed in a state.
type TransitionError struct {
	From  State
	Event Event
}

// Error names both.
func (e *TransitionError) Error() string {
	return fmt.Sprintf("%s is not possible for a payment in state %q", e.Event, e.From)
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

func (s State) proto() paymentv1.PaymentState {
	return paymentv1.PaymentState(paymentv1.PaymentState_value["PAYMENT_STATE_"+string(s)])
}
