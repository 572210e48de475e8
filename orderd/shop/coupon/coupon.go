// Package coupon has the coupons of the shop's buyers and the templates that they are claimed from.
// A red envelope's part is a coupon of a fixed amount. A coupon is locked by an order in the
// transaction that places it, and used when the order is paid.
package coupon

import (
	"time"

	"github.com/google/uuid"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
)

// Kind of a template.
type Kind string

// The kinds.
const (
	Fixed       Kind = "FIXED"
	Percent     Kind = "PERCENT"
	FreeFreight Kind = "FREE_FREIGHT"
	RedEnvelope Kind = "RED_ENVELOPE"
)

// Terms are one revision of a template: what a coupon that was claimed with it is worth, and where.
// They never change. Amounts are in the currency's minor unit.
type Terms struct {
	Template string
	Revision int64
	Title    string
	Kind     Kind
	Currency string
	// Amount that a FIXED coupon takes off.
	Amount int64
	// BasisPoints that a PERCENT coupon takes off: 1500 are 15%.
	BasisPoints int64
	// Cap of a PERCENT coupon; of a FREE_FREIGHT one unless 0.
	Cap int64
	// Threshold that the goods in scope have to reach before any discount.
	Threshold int64
	// Categories and SKUs in scope; every line is if both are empty.
	Categories, SKUs []string
	// StackingGroup is empty for a coupon that is used alone.
	StackingGroup string
	// ReturnedOnCancel and ReturnedOnRefund: whether a used coupon comes back.
	ReturnedOnCancel, ReturnedOnRefund bool

	source *couponv1.CouponTemplate
}

// Coupon is a buyer's.
type Coupon struct {
	ID      uuid.UUID
	BuyerID string
	State   State
	// Version counts its changes, from 1.
	Version int64
	// Amount that a FIXED coupon or a red envelope's part takes off; 0 for others.
	Amount int64
	// ValidFrom is the first moment it can be used, ValidUntil the first at which it no longer can.
	ValidFrom, ValidUntil time.Time
	// OrderID is the order that holds or has used it; uuid.Nil if none.
	OrderID   uuid.UUID
	ClaimedAt time.Time
	Terms     *Terms
}

// StateAt is the coupon's state as its buyer sees it: one that is available and too old is EXPIRED,
// which is never stored.
func (c *Coupon) StateAt(now time.Time) State {
	if c.State == Available && !now.Before(c.ValidUntil) {
		return Expired
	}
	return c.State
}

// takesOff is what a coupon of the kind FIXED or RED_ENVELOPE takes off, and false for others.
func (c *Coupon) takesOff() (int64, bool) {
	return c.Amount, c.Terms.Kind == Fixed || c.Terms.Kind == RedEnvelope
}
