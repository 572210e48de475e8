package coupon

import "github.com/orderd-dev/orderd/orderd/kit/lifecycle"

// State of a coupon.
type State string

// The states, as they are stored. COUPON_STATE_ before one makes its name in the API.
const (
	Available State = "AVAILABLE"
	Locked    State = "LOCKED"
	Used      State = "USED"
	Revoked   State = "REVOKED"
	// Expired is derived from the time and never stored.
	Expired State = "EXPIRED"
)

// Event changes a coupon's state.
type Event string

// The events.
const (
	// Claim begins a coupon that its buyer asked for.
	Claim Event = "claim"
	// Grant begins a coupon that a campaign gives.
	Grant Event = "grant"
	// Lock is the placing of an order with it.
	Lock Event = "lock"
	// Use is the payment of that order.
	Use Event = "use"
	// UseLate is a payment after the order had let go of the coupon, if nobody has taken it since.
	UseLate Event = "use_late"
	// Unlock is the end of an order that was not paid.
	Unlock Event = "unlock"
	// Return is the end of a paid order, where the template lets the coupon come back.
	Return Event = "return"
	// Revoke takes a granted coupon back.
	Revoke Event = "revoke"
)

// transitions are all there are: nothing else changes a coupon's state.
var transitions = lifecycle.Table[State, Event]{
	"":        {Claim: Available, Grant: Available},
	Available: {Lock: Locked, UseLate: Used, Revoke: Revoked},
	Locked:    {Use: Used, Unlock: Available},
	Used:      {Return: Available},
}

// Transitions is the life cycle of a coupon, for documents.
func Transitions() lifecycle.Table[State, Event] { return transitions }
