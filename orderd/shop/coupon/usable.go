package coupon

import (
	"slices"
	"time"
)

// Reason why a coupon cannot be used; the metadata why of COUPON_UNUSABLE.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	// NotFound: the buyer has no such coupon.
	NotFound Reason = "NOT_FOUND"
	// IsLocked: an unpaid order holds it.
	IsLocked  Reason = "LOCKED"
	IsUsed    Reason = "USED"
	IsRevoked Reason = "REVOKED"
	IsExpired Reason = "EXPIRED"
	// NotYetValid: its validity has not begun.
	NotYetValid   Reason = "NOT_YET_VALID"
	OtherCurrency Reason = "OTHER_CURRENCY"
	// NoFreight: it would take off freight, and there is none.
	NoFreight Reason = "NO_FREIGHT"
	// OutOfScope: no line is in its scope.
	OutOfScope     Reason = "OUT_OF_SCOPE"
	BelowThreshold Reason = "BELOW_THRESHOLD"
	// NotStackable: it is not used together with the others.
	NotStackable Reason = "NOT_STACKABLE"
	// NoEffect: it would be spent for nothing, because its part is below a minor unit or those
	// before it leave nothing to take off.
	NoEffect Reason = "NO_EFFECT"
)

// unavailable says why the coupon cannot be used for anything now; empty if it can.
func (c *Coupon) unavailable(now time.Time) Reason {
	switch c.StateAt(now) {
	case Available:
		if now.Before(c.ValidFrom) {
			return NotYetValid
		}
		return ""
	case Locked:
		return IsLocked
	case Used:
		return IsUsed
	case Expired:
		return IsExpired
	}
	return IsRevoked
}

// refused is the error for the coupon, which names the order that has locked it.
func (c *Coupon) refused(why Reason) *UnusableError {
	e := &UnusableError{CouponID: c.ID, Why: why}
	if why == IsLocked {
		e.LockedBy = c.OrderID
	}
	return e
}

// unusable says why the coupon cannot be used for the basket by itself; empty if it can.
func (c *Coupon) unusable(b Basket, now time.Time) Reason {
	if why := c.unavailable(now); why != "" {
		return why
	}
	var goods int64
	covered := false
	for _, l := range b.Lines {
		if c.Terms.covers(l) {
			covered = true
			goods += l.Amount
		}
	}
	switch {
	case c.Terms.Currency != b.Currency:
		return OtherCurrency
	case c.Terms.Kind == FreeFreight && b.Freight == 0:
		return NoFreight
	case !covered:
		return OutOfScope
	case goods < c.Terms.Threshold:
		return BelowThreshold
	case c.Terms.Kind != FreeFreight && c.discount(goods) == 0:
		return NoEffect
	}
	return ""
}

// covers tells whether a line is in scope.
func (t *Terms) covers(l BasketLine) bool {
	if len(t.Categories) == 0 && len(t.SKUs) == 0 {
		return true
	}
	return slices.Contains(t.Categories, l.Category) || slices.Contains(t.SKUs, l.SKU)
}

// stacksWith tells whether the coupon may be used together with the others: none of all is
// exclusive, and none of the others is of its group.
func (c *Coupon) stacksWith(others []*Coupon) bool {
	for _, o := range others {
		if c.Terms.StackingGroup == "" || o.Terms.StackingGroup == "" || c.Terms.StackingGroup == o.Terms.StackingGroup {
			return false
		}
	}
	return true
}
