package order

import (
	"context"
	"strconv"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Limits are what one buyer may have ordered in the standard lane and not paid, whoever placed the
// orders for them: Orders that wait for their payment, and Units in these. 0 is no limit.
//
// An order counts until it is paid, cancelled or expired, all of which give its units away or
// back. Orders of the flash lane do not count: their promotion's limitPerBuyer bounds their units, and they
// are taken where nobody can look into the database. Nor do orders that there is nothing to pay for.
type Limits struct {
	Orders, Units int64
}

// amount is what a buyer has ordered and not paid.
type amount struct{ orders, units int64 }

func (a amount) plus(b amount) amount { return amount{a.orders + b.orders, a.units + b.units} }

func (a amount) minus(b amount) amount { return amount{a.orders - b.orders, a.units - b.units} }

// unpaid is what buyers have ordered and not paid, by their ids.
type unpaid map[string]amount

// counted tells whether an order counts while it is not paid.
func (o *Order) counted() bool { return !o.flash() && !o.free() }

// amount is what an unpaid order adds to what its buyer has not paid.
func (o *Order) amount() amount {
	return amount{orders: 1, units: o.sum(func(l Line) int64 { return l.Quantity })}
}

// add counts an order.
func (u unpaid) add(o *Order) {
	if o.counted() {
		u[o.BuyerID] = u[o.BuyerID].plus(o.amount())
	}
}

// less is u without what other has of it; buyers of whom nothing is left are not in it.
func (u unpaid) less(other unpaid) unpaid {
	out := unpaid{}
	for buyer, has := range u {
		if left := has.minus(other[buyer]); left != (amount{}) {
			out[buyer] = left
		}
	}
	return out
}

// refuse says which limit an order would break; nil if none.
func (a amount) refuse(o *Order, most Limits) error {
	units := o.amount().units
	switch {
	case !o.counted():
		return nil
	case most.Orders > 0 && a.orders >= most.Orders:
		return tooManyUnpaid("unpaidOrders", "the buyer has as many unpaid orders as a buyer may have", most.Orders,
			most.Orders-a.orders)
	case most.Units > 0 && a.units+units > most.Units:
		return tooManyUnpaid("reservedUnits", "the buyer would have more units in unpaid orders than a buyer may have",
			most.Units, most.Units-a.units)
	}
	return nil
}

// noLongerUnpaid are the orders that changes have taken out of what their buyers have not paid.
func noLongerUnpaid(changes []change) unpaid {
	out := unpaid{}
	for _, c := range changes {
		if c.from == PendingPayment && c.to != PendingPayment {
			out.add(c.order)
		}
	}
	return out
}

// tooManyUnpaid names the limit as the OrderCluster does, how much it is, and what of it is left: less
// than nothing is if it was lowered, which the buyer need not know.
func tooManyUnpaid(limit, message string, most, left int64) error {
	return rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyUnpaid, message, "limit", limit,
		"most", strconv.FormatInt(most, 10), "left", strconv.FormatInt(max(left, 0), 10))
}

// limitsOf are those of the buyer whom a call is for. Whether the buyer whom a backend names is a guest
// is for the backend to know: they have the limits of one who has signed in.
func (s *Service) limitsOf(ctx context.Context) Limits {
	if caller, ok := auth.CallerFrom(ctx); ok && caller.AsBuyer() && caller.Guest {
		return s.guestLimits
	}
	return s.limits
}
