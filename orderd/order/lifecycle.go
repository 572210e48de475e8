package order

import "github.com/orderd-dev/orderd/orderd/lifecycle"

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
var transitions = lifecycle.Table[State, Event]{
	"":             {Place: PendingPayment},
	PendingPayment: {Pay: Paid, Cancel: Cancelled, Expire: Cancelled},
	Cancelled:      {PayLate: Paid},
}
