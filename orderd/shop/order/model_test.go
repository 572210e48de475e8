package order_test

import (
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// model is what a journey expects: it predicts every answer.
type model struct {
	levels map[string]stock.Levels
	orders []*placed
}

type placed struct {
	id    string
	buyer string
	units []*units
	state orderv1.OrderState
	// paid stays when a paid order is cancelled.
	paid bool
	// grants are refunds that are granted and not paid back yet, by their keys; keys counts all.
	grants map[string]int64
	keys   int
	// total is what the buyer pays; granted and refunded of it are on their way back and back.
	total, granted, refunded int64
}

// units are one line's.
type units struct {
	sku                                     string
	quantity, total                         int64
	shipped, delivered, returned, withdrawn int64
}

func (u *units) left() int64 { return u.quantity - u.withdrawn - u.shipped }

const (
	unpaid    = orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT
	paid      = orderv1.OrderState_ORDER_STATE_PAID
	shipped   = orderv1.OrderState_ORDER_STATE_SHIPPED
	delivered = orderv1.OrderState_ORDER_STATE_DELIVERED
	completed = orderv1.OrderState_ORDER_STATE_COMPLETED
	cancelled = orderv1.OrderState_ORDER_STATE_CANCELLED
)

func (m *model) fits(lines []*units) bool {
	for _, u := range lines {
		if m.levels[u.sku].Available < u.quantity {
			return false
		}
	}
	return true
}

// move moves all units of the lines.
func (m *model) move(lines []*units, available, reserved, deducted int64) {
	for _, u := range lines {
		m.shift(u.sku, available*u.quantity, reserved*u.quantity, deducted*u.quantity)
	}
}

func (m *model) shift(sku string, available, reserved, deducted int64) {
	l := m.levels[sku]
	m.levels[sku] = stock.Levels{
		Available: l.Available + available,
		Reserved:  l.Reserved + reserved,
		Deducted:  l.Deducted + deducted,
	}
}

func (o *placed) sum(of func(*units) int64) int64 {
	var total int64
	for _, u := range o.units {
		total += of(u)
	}
	return total
}

// toShip is how many units have not left and will.
func (o *placed) toShip() int64 { return o.sum((*units).left) }

// arrived tells whether nothing has to leave or to arrive any more.
func (o *placed) arrived() bool {
	for _, u := range o.units {
		if u.left() > 0 || u.delivered < u.quantity-u.returned {
			return false
		}
	}
	return true
}

// refundable tells whether money can be given back for an order in this state.
func (o *placed) refundable() bool {
	return o.paid && o.state != cancelled
}

// grant returns units, and is what they are worth: by what all units up to these are worth.
func (o *placed) grant(m *model, lines []order.LineQuantity, left, restock bool) int64 {
	var amount int64
	for _, l := range lines {
		u := o.units[l.Line-1]
		amount += u.total*(u.returned+l.Quantity)/u.quantity - u.total*u.returned/u.quantity
		if out := u.shipped - (u.returned - u.withdrawn); left {
			u.withdrawn += max(l.Quantity-out, 0)
		} else {
			u.withdrawn += min(l.Quantity, u.left())
		}
		u.returned += l.Quantity
		if restock {
			m.shift(u.sku, l.Quantity, 0, -l.Quantity)
		}
	}
	o.granted += amount
	switch {
	case o.state == paid && o.sum(func(u *units) int64 { return u.quantity - u.returned }) == 0:
		o.state = cancelled
	case o.state == shipped && o.arrived():
		o.state = delivered
	}
	return amount
}
