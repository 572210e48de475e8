// Package order owns the orders of both lanes: their life cycle, and with it their stock, their
// history and their events.
package order

import (
	"errors"
	"math"
	"time"

	"github.com/google/uuid"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// Order is an order as it is stored. Amounts are in the currency's minor unit.
type Order struct {
	ID      uuid.UUID
	BuyerID string
	State   State
	// Version counts the changes of the order.
	Version  int64
	Currency string
	// Total is what the buyer pays: the goods less Discount and with Freight. Tax is included in it.
	Total, Discount, Freight, Tax int64
	// PromotionUID and Promotion (its name) are empty in the standard lane.
	PromotionUID, Promotion string
	// Address is nil until there is one.
	Address        *addressv1.Address
	DeliveryMethod string
	Invoice        *quotev1.Invoice
	// CouponIDs are the coupons that the order was placed with.
	CouponIDs            []uuid.UUID
	CreatedAt, ExpiresAt time.Time
	PaidAt, CancelledAt  *time.Time
	CancelReason         string
	// PaymentID is the payment that counts, once there is one.
	PaymentID                           *uuid.UUID
	ShippedAt, DeliveredAt, CompletedAt *time.Time
	Details
	// Tags are the staff's, by name.
	Tags  []string
	Lines []Line
}

// Details are what an order has beside its goods and its money, from its placing on.
type Details struct {
	// Channel is where it was placed; empty for flash orders.
	Channel string
	// Attributes are what the shop's own systems keep beside it.
	Attributes map[string]string
	// BuyerMessage is for the shop, GiftNote to go with the goods.
	BuyerMessage, GiftNote string
}

// Line is one SKU in an order. Its number is its place, from 1.
type Line struct {
	SKU, Title          string
	Quantity, UnitPrice int64
	// Discount, Freight and Tax are the line's shares of the order's.
	Discount, Freight, Tax int64
	// Units: Shipping are in parcels that have not left; Shipped have left, Delivered of these have
	// arrived; Returned are those that a refund was granted for, Withdrawn of these never left.
	Shipping, Shipped, Delivered, Returned, Withdrawn int64
	// RefundGranted is what was granted back, Refunded what of it the provider has paid back.
	RefundGranted, Refunded int64
}

func (l Line) stocked() stock.Quantity { return stock.Quantity{SKU: l.SKU, Quantity: l.Quantity} }

func (l Line) amount() int64 { return l.UnitPrice * l.Quantity }

// total is what the buyer pays for the line.
func (l Line) total() int64 { return l.amount() - l.Discount + l.Freight }

// unshipped are the units that no parcel has or had and that are not withdrawn.
func (l Line) unshipped() int64 { return l.Quantity - l.Withdrawn - l.Shipping - l.Shipped }

// flash tells whether the order's stock came from a promotion's shards.
func (o *Order) flash() bool { return o.PromotionUID != "" }

// fulfilled tells whether nothing is left to leave or to arrive.
func (o *Order) fulfilled() bool {
	for _, l := range o.Lines {
		if l.unshipped() > 0 || l.Shipping > 0 || l.Delivered < l.Quantity-l.Returned {
			return false
		}
	}
	return true
}

// left tells whether all that has to leave has left.
func (o *Order) left() bool {
	for _, l := range o.Lines {
		if l.unshipped() > 0 || l.Shipping > 0 {
			return false
		}
	}
	return true
}

// sum adds what of gives for each line.
func (o *Order) sum(of func(Line) int64) int64 {
	var total int64
	for _, l := range o.Lines {
		total += of(l)
	}
	return total
}

// total is the sum of the lines' goods, and whether it fits.
func total(lines []Line) (int64, bool) {
	var sum int64
	for _, l := range lines {
		if l.UnitPrice < 0 || l.Quantity < 1 || l.UnitPrice > math.MaxInt64/l.Quantity ||
			l.UnitPrice*l.Quantity > math.MaxInt64-sum {
			return 0, false
		}
		sum += l.UnitPrice * l.Quantity
	}
	return sum, true
}

// ErrNotFound says that the buyer has no such order.
var ErrNotFound = errors.New("order not found")
