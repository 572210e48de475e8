package order

import (
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

// State of an order.
type State string

// The states, as they are stored (but for InFlashLane). ORDER_STATE_ before one makes
// its name in the API.
const (
	PendingPayment State = "PENDING_PAYMENT"
	Paid           State = "PAID"
	// Shipped: a parcel has left.
	Shipped State = "SHIPPED"
	// Delivered: all of it has arrived, but for what was refunded.
	Delivered State = "DELIVERED"
	Completed State = "COMPLETED"
	Cancelled State = "CANCELLED"
	// InFlashLane is the state of orders that the flash lane has accepted and that are not in the
	// database yet: it is never stored, and nothing leads to it.
	InFlashLane State = "ACCEPTED"
)

// Event changes an order: its state, or, where it stays in its state, what is partial on its lines.
type Event string

// The events.
const (
	// Place begins an order, in either lane.
	Place Event = "place"
	// Pay is a payment's success in time.
	Pay Event = "pay"
	// PayLate is a payment's success after the order was cancelled or expired unpaid, where its
	// stock could be taken again.
	PayLate Event = "pay_late"
	// Cancel is the buyer's wish or the staff's, before payment, or after it until a parcel has left.
	Cancel Event = "cancel"
	// Expire is the end of the time there was to pay.
	Expire Event = "expire"
	// SetDelivery gives the order its address, or another one.
	SetDelivery Event = "set_delivery"
	// Ship is a parcel that has left.
	Ship Event = "ship"
	// Arrive is a parcel that has arrived and is not the last.
	Arrive Event = "arrive"
	// Deliver is the arrival of the last parcel, or a refund of all that has not arrived.
	Deliver Event = "deliver"
	// Confirm is the buyer's word that the goods are there, or the staff's who close the order.
	Confirm Event = "confirm"
	// Complete is the end of the time to complain.
	Complete Event = "complete"
	// GrantRefund promises money back for units of the order.
	GrantRefund Event = "grant_refund"
	// Withdraw is the grant of a refund for the last units of an order that nothing has left of.
	Withdraw Event = "withdraw"
	// Refund is the provider's word that it has paid a granted refund back.
	Refund Event = "refund"
	// Tag is the staff's: other tags.
	Tag Event = "tag"
	// AddNote is the staff's: a note for colleagues.
	AddNote Event = "note"
)

// transitions are all there are: nothing else changes an order's state. PayLate is for orders
// that were never paid.
var transitions = lifecycle.Table[State, Event]{
	"": {Place: PendingPayment},
	PendingPayment: {
		Pay: Paid, Cancel: Cancelled, Expire: Cancelled, SetDelivery: PendingPayment,
		Tag: PendingPayment, AddNote: PendingPayment,
	},
	Paid: {
		Cancel:      Cancelled,
		Ship:        Shipped,
		SetDelivery: Paid,
		GrantRefund: Paid,
		Withdraw:    Cancelled,
		Refund:      Paid,
		Tag:         Paid,
		AddNote:     Paid,
	},
	Shipped: {
		Ship:        Shipped,
		Arrive:      Shipped,
		Deliver:     Delivered,
		Confirm:     Completed,
		GrantRefund: Shipped,
		Refund:      Shipped,
		Tag:         Shipped,
		AddNote:     Shipped,
	},
	Delivered: {
		Arrive:      Delivered,
		Confirm:     Completed,
		Complete:    Completed,
		GrantRefund: Delivered,
		Refund:      Delivered,
		Tag:         Delivered,
		AddNote:     Delivered,
	},
	Completed: {GrantRefund: Completed, Refund: Completed, Tag: Completed, AddNote: Completed},
	Cancelled: {PayLate: Paid, Refund: Cancelled, Tag: Cancelled, AddNote: Cancelled},
}

// Transitions is the life cycle of an order, for documents.
func Transitions() lifecycle.Table[State, Event] { return transitions }

// proto is the state's name in the API.
func (s State) proto() orderv1.OrderState {
	return orderv1.OrderState(orderv1.OrderState_value["ORDER_STATE_"+string(s)])
}
