package payment

import (
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/lifecycle"
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
var transitions = lifecycle.Table[State, Event]{
	"": {Create: Created},
	// A notification may come before our create call returned.
	Created: {Submit: Pending, Close: Closed, Succeed: Succeeded, Fail: Failed},
	Pending: {Succeed: Succeeded, Fail: Failed},
	Failed:  {Succeed: Succeeded},
	Closed:  {Succeed: Succeeded},
}

func (s State) proto() paymentv1.PaymentState {
	return paymentv1.PaymentState(paymentv1.PaymentState_value["PAYMENT_STATE_"+string(s)])
}
