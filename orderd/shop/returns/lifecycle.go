package returns

import (
	"slices"
	"strings"

	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

// State of a return.
type State string

// The states, as they are stored. RETURN_STATE_ before one makes its name in the API.
const (
	Requested State = "REQUESTED"
	Approved  State = "APPROVED"
	Rejected  State = "REJECTED"
	// InTransit: the buyer has sent the parcel.
	InTransit State = "IN_TRANSIT"
	Received  State = "RECEIVED"
	// Refunded: the refund is granted. Whether the buyer has the money yet is the order's to say.
	Refunded  State = "REFUNDED"
	Cancelled State = "CANCELLED"
)

// Event changes a return.
type Event string

// The events.
const (
	Request Event = "request"
	Approve Event = "approve"
	Reject  Event = "reject"
	// Cancel is the buyer's, until the parcel is sent.
	Cancel Event = "cancel"
	// Send is the buyer's word that the parcel is on its way, or staff's who have it in their hands.
	Send    Event = "send"
	Receive Event = "receive"
	Inspect Event = "inspect"
	// Refund grants the refund of what has come back, and RefundOnly that of what need not.
	Refund     Event = "refund"
	RefundOnly Event = "refund_only"
)

// transitions are all there are: nothing else changes a return's state. Send and Receive are for
// returns with a parcel, RefundOnly for the others.
var transitions = lifecycle.Table[State, Event]{
	"":        {Request: Requested},
	Requested: {Approve: Approved, Reject: Rejected, Cancel: Cancelled},
	Approved:  {Send: InTransit, Cancel: Cancelled, RefundOnly: Refunded},
	InTransit: {Receive: Received},
	Received:  {Inspect: Received, Refund: Refunded},
}

// Transitions is the life cycle of a return, for documents.
func Transitions() lifecycle.Table[State, Event] { return transitions }

// open are the states in which a return's units are spoken for.
func open() []string {
	return []string{string(Requested), string(Approved), string(InTransit), string(Received)}
}

// Open tells whether somebody has yet to do something about a return in the state.
func Open(s returnsv1.ReturnState) bool {
	return slices.Contains(open(), strings.TrimPrefix(s.String(), "RETURN_STATE_"))
}

// proto is the state's name in the API.
func (s State) proto() returnsv1.ReturnState {
	return returnsv1.ReturnState(returnsv1.ReturnState_value["RETURN_STATE_"+string(s)])
}
