package coupon

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/money"
)

// BasketLine is one line of what the coupons are for.
type BasketLine struct {
	SKU, Category string
	// Amount is the unit price times the quantity, before any discount.
	Amount int64
}

// Basket is what the coupons are for. Amounts are in the currency's minor unit and not negative.
type Basket struct {
	Currency string
	Lines    []BasketLine
	// Freight of the whole order; 0 if it has none.
	Freight int64
}

// Applied is what one coupon takes off.
type Applied struct {
	ID uuid.UUID
	// Discounts of the basket's lines, in their order.
	Discounts []int64
	// FreightDiscount is what it takes off the freight.
	FreightDiscount int64
}

// Discount is all that the coupon takes off, of goods and freight.
func (a Applied) Discount() int64 {
	sum := a.FreightDiscount
	for _, d := range a.Discounts {
		sum += d
	}
	return sum
}

// Option is one coupon that the buyer has, for this basket.
type Option struct {
	ID    uuid.UUID
	Title string
	// Discount of an applied coupon is its part; of another, what it would take off by itself, 0
	// if it cannot be used.
	Discount int64
	Applied  bool
	// Unusable says why it cannot be used, or not together with those that are
	// applied; empty if it can.
	Unusable Reason
}

// Evaluation is what coupons do for a basket.
type Evaluation struct {
	// Applied in the order of application.
	Applied []Applied
	// All the coupons there are: the applied ones, then the usable ones, then the others; those
	// that take off more first.
	All []Option
}

// Discounts are the sums of what the applied coupons take off each of the basket's lines,
// and off the freight.
func (e *Evaluation) Discounts(lines int) (goods []int64, freight int64) {
	goods = make([]int64, lines)
	for _, a := range e.Applied {
		for i, d := range a.Discounts {
			goods[i] += d
		}
		freight += a.FreightDiscount
	}
	return goods, freight
}

// UnusableError says which of the coupons to apply cannot be, and why.
type UnusableError struct {
	CouponID uuid.UUID
	Why      Reason
	// LockedBy is the coupon's buyer's unpaid order that holds it if Why is IsLocked, else uuid.Nil.
	LockedBy uuid.UUID
}

// Error names both.
func (e *UnusableError) Error() string { return fmt.Sprintf("coupon %s: %s", e.CouponID, e.Why) }

// Evaluate applies the coupons named by ids, and says of all coupons whether they could be. Coupons
// are one buyer's, as Load returns them. If one of ids cannot be applied, the error is
// an *UnusableError of the first, nothing is applied, and All is what it would be without ids.
//
// Thresholds and scopes are judged by the goods' amounts before any discount, so whether a coupon
// can be used does not hang on the others but for stacking. Coupons are applied one after the
// other, each to what those before have left: first PERCENT, then FIXED and RED_ENVELOPE, then
// FREE_FREIGHT, and of the same rank by id, so that the order of ids does not matter. A percentage
// is of the sum of the lines in scope and rounded down to the minor unit; a fixed amount is at most
// that sum. Each discount is divided over the lines in scope by what is left of them, with the
// largest remainder, so that the shares sum to it exactly and no line goes below zero.
func Evaluate(coupons []Coupon, ids []uuid.UUID, basket Basket, now time.Time) (Evaluation, error) {
	chosen, err := choose(coupons, ids, basket, now)
	if err != nil {
		return Evaluation{All: options(coupons, nil, nil, basket, now)}, err
	}
	slices.SortFunc(chosen, func(a, b *Coupon) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), slices.Compare(a.ID[:], b.ID[:]))
	})
	left := newRemainder(basket)
	applied := make([]Applied, 0, len(chosen))
	for _, c := range chosen {
		a := left.apply(c)
		if a.Discount() == 0 {
			return Evaluation{All: options(coupons, nil, nil, basket, now)}, &UnusableError{CouponID: c.ID, Why: NoEffect}
		}
		applied = append(applied, a)
	}
	return Evaluation{Applied: applied, All: options(coupons, chosen, applied, basket, now)}, nil
}

// choose finds the coupons to apply and refuses what cannot be applied together.
func choose(coupons []Coupon, ids []uuid.UUID, basket Basket, now time.Time) ([]*Coupon, error) {
	var chosen []*Coupon
	for _, id := range ids {
		i := slices.IndexFunc(coupons, func(c Coupon) bool { return c.ID == id })
		if i < 0 {
			return nil, &UnusableError{CouponID: id, Why: NotFound}
		}
		c := &coupons[i]
		if slices.Contains(chosen, c) {
			continue
		}
		if why := c.unusable(basket, now); why != "" {
			return nil, c.refused(why)
		}
		if !c.stacksWith(chosen) {
			return nil, &UnusableError{CouponID: id, Why: NotStackable}
		}
		chosen = append(chosen, c)
	}
	return chosen, nil
}

// options says of every coupon what it does or would do.
func options(coupons []Coupon, chosen []*Coupon, applied []Applied, basket Basket, now time.Time) []Option {
	all := make([]Option, 0, len(coupons))
	for i := range coupons {
		c := &coupons[i]
		o := Option{ID: c.ID, Title: c.Terms.Title}
		if at := slices.Index(chosen, c); at >= 0 {
			o.Applied, o.Discount = true, applied[at].Discount()
			all = append(all, o)
			continue
		}
		if o.Unusable = c.unusable(basket, now); o.Unusable == "" {
			alone := newRemainder(basket).apply(c)
			o.Discount = alone.Discount()
			if !c.stacksWith(chosen) {
				o.Unusable = NotStackable
			}
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b Option) int {
		return cmp.Or(cmp.Compare(a.place(), b.place()), cmp.Compare(b.Discount, a.Discount),
			slices.Compare(a.ID[:], b.ID[:]))
	})
	return all
}

// place of an option among all: applied, usable, the others.
func (o Option) place() int {
	switch {
	case o.Applied:
		return 0
	case o.Unusable == "":
		return 1
	}
	return 2
}

// rank is a coupon's place in the order of application.
func (c *Coupon) rank() int {
	switch c.Terms.Kind {
	case Percent:
		return 0
	case FreeFreight:
		return 2
	}
	return 1
}

// remainder is what the coupons that were applied have left of a basket.
type remainder struct {
	basket  Basket
	amounts []int64
	freight int64
}

func newRemainder(b Basket) *remainder {
	r := &remainder{basket: b, amounts: make([]int64, len(b.Lines)), freight: b.Freight}
	for i, l := range b.Lines {
		r.amounts[i] = l.Amount
	}
	return r
}

// apply takes the coupon's discount off what is left.
func (r *remainder) apply(c *Coupon) Applied {
	a := Applied{ID: c.ID, Discounts: make([]int64, len(r.amounts))}
	if c.Terms.Kind == FreeFreight {
		a.FreightDiscount = r.freight
		if c.Terms.Cap > 0 {
			a.FreightDiscount = min(a.FreightDiscount, c.Terms.Cap)
		}
		r.freight -= a.FreightDiscount
		return a
	}
	weights := make([]int64, len(r.amounts))
	var sum int64
	for i, l := range r.basket.Lines {
		if c.Terms.covers(l) {
			weights[i] = r.amounts[i]
			sum += r.amounts[i]
		}
	}
	discount := c.discount(sum)
	if discount == 0 {
		return a
	}
	a.Discounts = money.Split(discount, weights)
	for i, d := range a.Discounts {
		r.amounts[i] -= d
	}
	return a
}

// discount of goods that cost sum, at most sum.
func (c *Coupon) discount(sum int64) int64 {
	if amount, fixed := c.takesOff(); fixed {
		return min(amount, sum)
	}
	// In 128 bits; the quotient is at most sum, because basis points are at most 10,000.
	hi, lo := bits.Mul64(uint64(sum), uint64(c.Terms.BasisPoints))
	share, _ := bits.Div64(hi, lo, wholeBasisPoints)
	return min(int64(share), c.Terms.Cap)
}

// wholeBasisPoints are all of an amount.
const wholeBasisPoints = 10_000
