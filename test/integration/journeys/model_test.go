package journeys

import (
	"slices"
)

// The states that the model knows, as the API names them behind their prefix.
const (
	pending   = "PENDING_PAYMENT"
	paid      = "PAID"
	shipped   = "SHIPPED"
	delivered = "DELIVERED"
	completed = "COMPLETED"
	cancelled = "CANCELLED"

	available = "AVAILABLE"
	locked    = "LOCKED"
	used      = "USED"

	requested = "REQUESTED"
	approved  = "APPROVED"
	rejected  = "REJECTED"
	inTransit = "IN_TRANSIT"
	received  = "RECEIVED"
	refunded  = "REFUNDED"
)

const (
	currency = "EUR"
	freight  = 500
	method   = "courier"
)

type sku struct {
	code                      string
	price                     int64
	onSale                    bool
	available, reserved, sold int64
}

type cartLine struct {
	quantity int64
	selected bool
}

type buyer struct {
	id string
	// as calls the front pod as the buyer, and the others theirs.
	as, back, hasty clients
	cart            map[*sku]*cartLine
	had             int64
}

// at is the front pod and the back pod in turn, for calls that meet.
func (b *buyer) at(n int) clients { return []clients{b.as, b.back}[n%2] }

type coupon struct {
	id    string
	buyer *buyer
	state string
	order *order
}

// line of an order: how many units, and where they are.
type line struct {
	sku                                     *sku
	quantity, total                         int64
	shipped, delivered, returned, withdrawn int64
	granted                                 int64
	open                                    map[bool]int64
}

// underWay tells whether some of the line's units have not arrived.
func (l *line) underWay() bool { return l.delivered < l.quantity-l.returned }

type payment struct {
	id, url   string
	order     *order
	succeeded bool
}

type order struct {
	id       string
	buyer    *buyer
	state    string
	lines    []*line
	total    int64
	coupon   *coupon
	payments []*payment
	// everPaid says that a payment counts for it.
	everPaid bool
	// parcel is what the carrier has collected.
	parcel string
}

// want is what a buyer would order.
type want struct {
	lines   []wanted
	coupon  *coupon
	nowhere bool
}

type wanted struct {
	sku      *sku
	quantity int64
}

// promise is a quote's token.
type promise struct {
	buyer  *buyer
	token  string
	want   want
	prices []int64
}

type goingBack struct {
	id        string
	order     *order
	parcel    bool
	unshipped bool
	state     string
	lines     []backLine
}

type backLine struct {
	line     int
	quantity int64
	restock  int64
}

// refusals are why such an order has no price now; none if it has one.
func (w want) refusals(b *buyer) []string {
	var out []string
	for _, l := range w.lines {
		if !l.sku.onSale {
			out = append(out, "SKU_NOT_ON_SALE")
		}
	}
	if len(w.lines) == 0 {
		out = append(out, "CART_EMPTY")
	}
	if w.coupon != nil && (w.coupon.state != available || w.coupon.buyer != b) {
		out = append(out, "COUPON_UNUSABLE")
	}
	if w.nowhere {
		out = append(out, "UNDELIVERABLE")
	}
	return out
}

func (w want) short() bool {
	return slices.ContainsFunc(w.lines, func(l wanted) bool { return l.quantity > l.sku.available })
}

// refusals are why the promise is not kept now.
func (p *promise) refusals() []string {
	out := p.want.refusals(p.buyer)
	for i, l := range p.want.lines {
		if p.prices[i] != l.sku.price {
			return append(out, "PRICE_CHANGED")
		}
	}
	return out
}

func (w want) goods() int64 {
	var sum int64
	for _, l := range w.lines {
		sum += l.sku.price * l.quantity
	}
	return sum
}

func (w want) discount(worth int64) int64 {
	if w.coupon == nil {
		return 0
	}
	return min(worth, w.goods())
}

func (o *order) units(of func(*line) int64) int64 {
	var sum int64
	for _, l := range o.lines {
		sum += of(l)
	}
	return sum
}

// reserve is what placing does.
func (o *order) reserve() {
	for _, l := range o.lines {
		l.sku.available -= l.quantity
		l.sku.reserved += l.quantity
		delete(o.buyer.cart, l.sku)
	}
	if o.coupon != nil {
		o.coupon.state, o.coupon.order = locked, o
	}
}

// release is the end of an unpaid order.
func (o *order) release() {
	o.state = cancelled
	for _, l := range o.lines {
		l.sku.available += l.quantity
		l.sku.reserved -= l.quantity
	}
	o.freeCoupon()
}

// freeCoupon gives the coupon back that the order holds or has used.
func (o *order) freeCoupon() {
	if o.coupon != nil && o.coupon.order == o {
		o.coupon.state, o.coupon.order = available, nil
	}
}

// cancelPaid is the end of a paid order that nothing has left of.
func (o *order) cancelPaid() {
	o.state = cancelled
	for _, l := range o.lines {
		rest := l.quantity - l.returned
		l.granted += l.share(rest)
		l.returned += rest
		l.withdrawn += rest
		l.sku.available += rest
		l.sku.sold -= rest
	}
	o.freeCoupon()
}

// share is what the next so many units are worth.
func (l *line) share(units int64) int64 {
	return l.total*(l.returned+units)/l.quantity - l.total*l.returned/l.quantity
}

// settle is a payment's success. Money for an order that another payment counts for, or whose
// stock is gone, goes back.
func (p *payment) settle() {
	o := p.order
	if p.succeeded {
		return
	}
	p.succeeded = true
	if o.everPaid {
		return
	}
	switch o.state {
	case pending:
		for _, l := range o.lines {
			l.sku.reserved -= l.quantity
			l.sku.sold += l.quantity
		}
		if o.coupon != nil {
			o.coupon.state = used
		}
	case cancelled:
		for _, l := range o.lines {
			if l.sku.available < l.quantity {
				return
			}
		}
		for _, l := range o.lines {
			l.sku.available -= l.quantity
			l.sku.sold += l.quantity
		}
		if o.coupon != nil && o.coupon.state == available {
			o.coupon.state, o.coupon.order = used, o
		}
	}
	o.state, o.everPaid = paid, true
}

// leave is the collection of a parcel with all that is left.
func (o *order) leave() {
	o.state = shipped
	for _, l := range o.lines {
		l.shipped = l.quantity - l.withdrawn
	}
}

func (o *order) arrive() {
	for _, l := range o.lines {
		l.delivered = l.shipped
	}
	if o.state == shipped {
		o.state = delivered
	}
}

// returnable is how many units of a line can be asked back.
func (l *line) returnable(unshipped bool, open int64) int64 {
	if unshipped {
		return max(l.quantity-l.shipped-l.withdrawn-open, 0)
	}
	return max(l.shipped-(l.returned-l.withdrawn)-open, 0)
}

// grant is a return's refund, of so much of each line.
func (r *goingBack) grant(amounts []int64) {
	o := r.order
	for i, b := range r.lines {
		l := o.lines[b.line]
		l.granted += amounts[i]
		l.returned += b.quantity
		if r.unshipped {
			l.withdrawn += b.quantity
		}
		l.sku.available += b.restock
		l.sku.sold -= b.restock
	}
	r.end(refunded)
	left := o.units(func(l *line) int64 { return l.quantity - l.returned })
	switch {
	case o.state == paid && left == 0:
		o.state = cancelled
		o.freeCoupon()
	case o.state == shipped && !slices.ContainsFunc(o.lines, (*line).underWay):
		o.state = delivered
	}
}

// end lets go of the units of a return that is open no more.
func (r *goingBack) end(state string) {
	r.state = state
	for _, b := range r.lines {
		r.order.lines[b.line].open[r.unshipped] -= b.quantity
	}
}
