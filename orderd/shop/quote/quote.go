// Package quote works out what an order costs: goods, discounts, freight and tax, line by line. It is
// split into reading, for any number of orders at once, and computing, which is pure.
package quote

import (
	"github.com/google/uuid"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
)

// Input is what a quote is asked for. Its parts have passed the API's validation.
type Input struct {
	BuyerID string
	// Lines have different SKUs.
	Lines []Line
	// Delivery is nil for goods without one: they have no freight and no address.
	Delivery *Delivery
	// CouponIDs are to be used: all of them, or there is no quote.
	CouponIDs []uuid.UUID
	// AllCoupons asks also what the buyer's other coupons would do.
	AllCoupons bool
	Invoice    *quotev1.Invoice
}

// Line is a number of units of a SKU.
type Line struct {
	SKU      string
	Quantity int64
}

// Delivery is where to and how; Address goes before AddressID.
type Delivery struct {
	// AddressID is a saved address of the buyer's.
	AddressID uuid.UUID
	Address   *addressv1.Address
	// Method's name; empty: the first that delivers there.
	Method string
}

// Quote is what an input costs. Amounts are in the currency's minor unit; Total = Goods -
// Discount + Freight and includes Tax, each of them is the sum of its lines.
type Quote struct {
	Lines                                []QuotedLine
	Currency                             string
	Goods, Discount, Freight, Tax, Total int64
	// Address is a copy; nil without a delivery.
	Address        *addressv1.Address
	DeliveryMethod string
	// CouponIDs are those that are applied.
	CouponIDs []uuid.UUID
	Invoice   *quotev1.Invoice
	// Coupons are those of the input and, if it asks for them, all others that the buyer has: those
	// that can be used here first.
	Coupons []QuotedCoupon
	// Deliveries are the methods there are for the address.
	Deliveries []QuotedDelivery
}

// QuotedLine is a line with its shares of all amounts.
type QuotedLine struct {
	SKU, Title          string
	Quantity, UnitPrice int64
	// Amount is UnitPrice times Quantity.
	Amount, Discount, Freight, Tax int64
}

// Total is what the buyer pays for the line.
func (l QuotedLine) Total() int64 { return l.Amount - l.Discount + l.Freight }

// QuotedCoupon is a coupon of the buyer's and what it takes off here.
type QuotedCoupon struct {
	ID       uuid.UUID
	Title    string
	Discount int64
	Applied  bool
	// Unusable is why it cannot be used here; empty if it can.
	Unusable string
}

// QuotedDelivery is a delivery method for the address and its freight, before coupons.
type QuotedDelivery struct {
	Method, Title string
	Freight       int64
}

// Proto is the quote as callers have it, without a token.
func (q *Quote) Proto() *quotev1.Quote {
	out := &quotev1.Quote{
		Goods:          q.money(q.Goods),
		Discount:       q.money(q.Discount),
		Freight:        q.money(q.Freight),
		Total:          q.money(q.Total),
		Tax:            q.money(q.Tax),
		DeliveryMethod: q.DeliveryMethod,
		Invoice:        q.Invoice,
	}
	for _, l := range q.Lines {
		out.Lines = append(out.Lines, &quotev1.QuoteLine{
			Sku: l.SKU, Title: l.Title, Quantity: l.Quantity, UnitPrice: q.money(l.UnitPrice), Amount: q.money(l.Amount),
			Discount: q.money(l.Discount), Freight: q.money(l.Freight), Total: q.money(l.Total()), Tax: q.money(l.Tax),
		})
	}
	for _, c := range q.Coupons {
		out.Coupons = append(out.Coupons, &quotev1.QuotedCoupon{
			CouponId: c.ID.String(), Title: c.Title, Discount: q.money(c.Discount), Applied: c.Applied, Unusable: c.Unusable,
		})
	}
	for _, d := range q.Deliveries {
		out.Deliveries = append(out.Deliveries,
			&quotev1.QuotedDelivery{Method: d.Method, Title: d.Title, Freight: q.money(d.Freight)})
	}
	return out
}

func (q *Quote) money(amount int64) *moneyv1.Money {
	return &moneyv1.Money{Amount: amount, Currency: q.Currency}
}
