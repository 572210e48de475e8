package payment

import (
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

// State of a payment or a refund.
type State string

// The states, as they are stored. PAYMENT_STATE_ or REFUND_STATE_ before one makes its name in the
// API.
const (
	// Created is a payment that is reserved here, and perhaps not known to the provider yet.
	Created State = "CREATED"
	// Requested is a refund that is due, and perhaps not known to the provider yet.
	Requested State = "REQUESTED"
	// Pending: the buyer can pay, or the provider has taken the refund on.
	Pending   State = "PENDING"
	Succeeded State = "SUCCEEDED"
	Failed    State = "FAILED"
	// Closed is a payment that cannot be paid any more.
	Closed State = "CLOSED"
)

// Event changes a payment's or a refund's state.
type Event string

// The events.
const (
	// Create begins a payment, and Request a refund.
	Create  Event = "create"
	Request Event = "request"
	// Submit is the provider's answer to our call that creates the payment, or asks for the refund.
	Submit Event = "submit"
	// Succeed is the provider's word that it has the buyer's money, or that the money has gone back.
	Succeed Event = "succeed"
	// Fail is its word that neither will happen.
	Fail Event = "fail"
	// Close ends a payment, at the provider too, when its order cannot be paid any more or its time
	// is over.
	Close Event = "close"
	// Retry asks for a refund that failed again.
	Retry Event = "retry"
)

// transitions are all there are: nothing else changes a payment's state. A payment can succeed in
// every state but SUCCEEDED, because the money is there whatever we believed before.
var transitions = lifecycle.Table[State, Event]{
	"": {Create: Created},
	// A notification may come before our create call returned.
	Created: {Submit: Pending, Close: Closed, Succeed: Succeeded, Fail: Failed},
	Pending: {Close: Closed, Succeed: Succeeded, Fail: Failed},
	Failed:  {Succeed: Succeeded},
	Closed:  {Succeed: Succeeded},
}

// refundTransitions are all changes of a refund's state.
var refundTransitions = lifecycle.Table[State, Event]{
	"":        {Request: Requested},
	Requested: {Submit: Pending, Succeed: Succeeded, Fail: Failed},
	Pending:   {Succeed: Succeeded, Fail: Failed},
	// The provider may have gone on with a refund that it seemed to have refused.
	Failed: {Retry: Requested, Succeed: Succeeded},
}

// Transitions is the life cycle of a payment, for documents.
func Transitions() lifecycle.Table[State, Event] { return transitions }

// RefundTransitions is the life cycle of a refund, for documents.
func RefundTransitions() lifecycle.Table[State, Event] { return refundTransitions }

func (s State) proto() paymentv1.PaymentState {
	return paymentv1.PaymentState(paymentv1.PaymentState_value["PAYMENT_STATE_"+string(s)])
}

func (s State) refundProto() paymentv1.RefundState {
	return paymentv1.RefundState(paymentv1.RefundState_value["REFUND_STATE_"+string(s)])
}
