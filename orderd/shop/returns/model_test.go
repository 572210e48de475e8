package returns_test

import (
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/kit/money"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
)

// model is what a journey expects of one order: it predicts every answer.
type model struct {
	order   uuid.UUID
	state   order.State
	lines   []*unit
	parcels []*parcel
	returns []*ret
	// refunded is what was handed to the payment provider.
	refunded int64
}

// unit is what a model has of an order's line.
type unit struct{ bought, total, shipping, shipped, delivered, returned, withdrawn, restocked int64 }

func (u *unit) free() int64 { return u.bought - u.withdrawn - u.shipping - u.shipped }

// share is what the next units of the line are worth.
func (u *unit) share(q int64) int64 {
	return money.Share(u.total, u.returned+q, u.bought) - money.Share(u.total, u.returned, u.bought)
}

type parcel struct {
	id    string
	state string
	lines map[int]int64
}

type ret struct {
	id        string
	state     returns.State
	only      bool
	unshipped bool
	lines     map[int]int64
	restock   map[int]int64
}

func (r *ret) open() bool {
	return r.state == returns.Requested || r.state == returns.Approved || r.state == returns.InTransit ||
		r.state == returns.Received
}

// spoken are the units of a line in open returns of the same sort.
func (m *model) spoken(line int, unshipped bool) (sum int64) {
	for _, r := range m.returns {
		if r.open() && r.unshipped == unshipped {
			sum += r.lines[line]
		}
	}
	return sum
}

func (m *model) returnable(line int, unshipped bool) int64 {
	u := m.lines[line]
	if unshipped {
		return u.bought - u.shipped - u.withdrawn - m.spoken(line, true)
	}
	return u.shipped - (u.returned - u.withdrawn) - m.spoken(line, false)
}

func (m *model) settle() {
	fulfilled, nothing := true, true
	for _, u := range m.lines {
		fulfilled = fulfilled && u.free() <= 0 && u.shipping == 0 && u.delivered >= u.bought-u.returned
		nothing = nothing && u.withdrawn == u.bought
	}
	switch {
	case m.state == order.Shipped && fulfilled:
		m.state = order.Delivered
	case m.state == order.Paid && nothing:
		m.state = order.Cancelled
	}
}

// again puts all that is left into a parcel, whose id is not known yet.
func (m *model) again() {
	p := &parcel{state: "REQUESTED", lines: map[int]int64{}}
	any := false
	for i, u := range m.lines {
		if q := u.free(); q > 0 {
			p.lines[i], any = q, true
			u.shipping += q
		}
	}
	if any {
		m.parcels = append(m.parcels, p)
	}
}

func (m *model) pick(t *rapid.T) *ret {
	if len(m.returns) == 0 {
		t.Skip("no return yet")
	}
	return rapid.SampledFrom(m.returns).Draw(t, "return")
}

// move takes a return to a state if it is in one of others, and says what is expected otherwise.
func (r *ret) move(to returns.State, from ...returns.State) string {
	for _, f := range from {
		if r.state == f {
			r.state = to
			return ""
		}
	}
	return "RETURN_STATE_CONFLICT"
}

// refusal is why a refund cannot be granted.
func (m *model) refusal(r *ret, tooMuch bool) string {
	gone := false
	for i, q := range r.lines {
		gone = gone || r.unshipped && m.lines[i].bought-m.lines[i].shipped-m.lines[i].withdrawn < q
	}
	switch {
	case r.only && r.state != returns.Approved, !r.only && r.state != returns.Received:
		return "RETURN_STATE_CONFLICT"
	case m.state == order.Cancelled:
		return "ORDER_STATE_CONFLICT"
	case gone:
		return "ALREADY_SHIPPED"
	case tooMuch:
		return "REFUND_EXCEEDS"
	}
	return ""
}

// open ends the waiting parcel if it has units that are to be taken out. There is at most one.
func (m *model) open(r *ret) bool {
	need := false
	for i, q := range r.lines {
		need = need || q > m.lines[i].free()
	}
	for _, p := range m.parcels {
		if need && p.state == "REQUESTED" {
			p.state = "EXCEPTION"
			for i, q := range p.lines {
				m.lines[i].shipping -= q
			}
			return true
		}
	}
	return false
}
