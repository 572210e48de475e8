// Package audit decides whether a sale went as it must. It knows what buyers asked and were answered,
// what the shop did, and at the end what the database and the settlement say; it knows nothing of how
// orderd does it. Where it cannot know, it holds nothing against the sale: every violation is one.
//
// It judges afterwards, by when each call was sent and answered, so that it is right whatever faults
// there were. A Ledger of orderd/sim/buyers notices while a sale goes on, and holds far more buyers;
// what both say of a sale's stock is [Result.Balanced].
package audit

import (
	"fmt"
	"time"
)

// Item is a number of units of a SKU.
type Item struct {
	SKU      string
	Quantity int64
}

// Offer is one item of a sale.
type Offer struct {
	SKU string
	// Price in the currency's minor unit.
	Price int64
	// Limit per buyer, the highest that it had; 0: none.
	Limit int64
	// Stock that the sale was opened with.
	Stock int64
	// Before is what was available in the shop before any went to the sale.
	Before int64
}

// TopUp is stock that was added.
type TopUp struct {
	SKU      string
	Quantity int64
	// At is before any pod could know of it.
	At time.Time
}

// Sale is what the shop did.
type Sale struct {
	// Start of the sale, and the latest end that it had.
	Start, End time.Time
	// PaymentTimeout after which an unpaid order expires.
	PaymentTimeout time.Duration
	Offers         []Offer
	TopUps         []TopUp
}

// Kind of a call.
type Kind int

// The kinds.
const (
	// Place is a request for an order.
	Place Kind = iota
	// Find asks the flash lane what became of a request.
	Find
	// Get asks for an order by its id.
	Get
	// Cancel an order.
	Cancel
	// Pay an order: the call that may make it paid.
	Pay
)

// Outcome of a call.
type Outcome int

// The outcomes.
const (
	// Unknown: no answer, or one that does not say.
	Unknown Outcome = iota
	// Accepted: the answer has an order.
	Accepted
	// Refused for a reason that is final for this call.
	Refused
)

// Call is what somebody asked, and what the answer was.
type Call struct {
	Kind           Kind
	Buyer, Request string
	Items          []Item
	Sent, Answered time.Time
	Outcome        Outcome
	// Reason of a refusal, or of an unknown outcome where there is one.
	Reason string
	// SKU that a refusal names.
	SKU string
	// OrderID that the answer has, or that was asked for.
	OrderID string
	// State of the order in the answer, as the enum's name ends.
	State string
	// Pod that was asked.
	Pod string
}

// String is a line of a log.
func (c Call) String() string {
	return fmt.Sprintf("%s +%-6s %-8s %-6s %-9s %s %s/%s %v order=%s state=%s reason=%s",
		c.Sent.UTC().Format("15:04:05.000"), c.Answered.Sub(c.Sent).Round(time.Millisecond),
		[]string{"place", "find", "get", "cancel", "pay"}[c.Kind], c.Pod,
		[]string{"unknown", "accepted", "refused"}[c.Outcome], c.SKU, c.Buyer, c.Request, c.Items, c.OrderID, c.State,
		c.Reason)
}

// Row is an order in the database at the end.
type Row struct {
	OrderID, Buyer, State string
	Total                 int64
	Lines                 []Line
	// CancelledAt is zero if it was not.
	CancelledAt time.Time
	// Paid is what payments brought in that succeeded, less what went back.
	Paid int64
}

// Line of an order.
type Line struct {
	Item
	Price int64
}

// Result of the settlement and what the shop's stock is at the end.
type Result struct {
	SKU                                 string
	Allocated, ToppedUp, Sold, Returned int64
	// Available, Reserved and Deducted units in the shop.
	Available, Reserved, Deducted int64
}

// Balanced says whether all units that went into the sale were sold or have come back.
func (r Result) Balanced() bool { return r.Allocated+r.ToppedUp == r.Sold+r.Returned }

// Finals is what there is at the end, when all is quiet.
type Finals struct {
	Rows    []Row
	Results []Result
}
