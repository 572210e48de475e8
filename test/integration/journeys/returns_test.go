package journeys

import (
	"strconv"

	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
)

// requestReturn asks for units of an order back, now and then more than there are.
func (j *journey) requestReturn() {
	o, ok := one(j, j.orders,
		func(o *order) bool { return o.everPaid && (o.state != cancelled || j.chance(5)) || j.chance(20) })
	if !ok {
		return
	}
	req, r := j.newReturn(o)
	j.logf("return of %v of %s, %s, unshipped %v, parcel %v", r.lines, o.id, o.state, r.unshipped, r.parcel)
	answer, err := ask(o.buyer.as.returns.RequestReturn, req)
	j.expect(err, r.refusals()...)
	if err == nil {
		j.opened(r, answer.GetReturn())
	}
}

func (j *journey) newReturn(o *order) (*returnsv1.RequestReturnRequest, *goingBack) {
	r := &goingBack{order: o, parcel: j.chance(2), state: requested}
	req := &returnsv1.RequestReturnRequest{
		RequestId: j.requestID(),
		OrderId:   o.id,
		Kind:      returnsv1.ReturnKind_RETURN_KIND_WITH_PARCEL,
		Reason:    returnsv1.ReturnReason_RETURN_REASON_DAMAGED,
	}
	if !r.parcel {
		req.Kind, req.Unshipped = returnsv1.ReturnKind_RETURN_KIND_REFUND_ONLY, j.chance(5)
		r.unshipped = req.GetUnshipped() || o.state == paid
	}
	for i := range o.lines {
		if len(o.lines) > 1 && j.chance(2) && (i > 0 || len(o.lines) > i+1) && (i < len(o.lines)-1 || len(r.lines) > 0) {
			continue
		}
		n := j.between(1, o.lines[i].quantity)
		if j.chance(10) {
			n++
		}
		r.lines = append(r.lines, backLine{line: i, quantity: n})
		req.Lines = append(req.Lines, &returnsv1.ReturnLineQuantity{Line: int64(i + 1), Quantity: n})
	}
	return req, r
}

// refusals are why a return cannot be requested now.
func (r *goingBack) refusals() []string {
	if r.order.state == pending || r.order.state == cancelled {
		return []string{"ORDER_STATE_CONFLICT"}
	}
	for _, b := range r.lines {
		l := r.order.lines[b.line]
		if b.quantity > l.returnable(r.unshipped, l.open[r.unshipped]) {
			return []string{"NOT_RETURNABLE"}
		}
	}
	return nil
}

func (j *journey) opened(r *goingBack, got *returnsv1.Return) {
	r.id = got.GetReturnId()
	for i, b := range r.lines {
		r.order.lines[b.line].open[r.unshipped] += b.quantity
		if r.unshipped {
			r.lines[i].restock = b.quantity
		}
	}
	j.returns = append(j.returns, r)
	j.checkReturn(r, got)
}

func (j *journey) checkReturn(r *goingBack, got *returnsv1.Return) {
	if got.GetState().String() != "RETURN_STATE_"+r.state || got.GetUnshipped() != r.unshipped {
		j.fail("%s: return %v, want %s, unshipped %v", j.last(), got, r.state, r.unshipped)
	}
}

// requestReturnsAtOnce asks for all units of a line several times at once: one can have them.
func (j *journey) requestReturnsAtOnce() {
	o, ok := one(j, j.orders, func(o *order) bool { return o.everPaid && o.state != cancelled })
	if !ok {
		return
	}
	unshipped := o.state == paid
	n := 0
	for i, l := range o.lines {
		if l.returnable(unshipped, l.open[unshipped]) > 0 {
			n = i + 1
		}
	}
	if n == 0 {
		return
	}
	left := o.lines[n-1].returnable(unshipped, o.lines[n-1].open[unshipped])
	j.logf("returns at once of all %d of line %d of %s, %s", left, n, o.id, o.state)
	var calls []func() (*returnsv1.RequestReturnResponse, error)
	for i := range 3 {
		req := &returnsv1.RequestReturnRequest{
			RequestId: j.requestID(),
			OrderId:   o.id,
			Kind:      returnsv1.ReturnKind_RETURN_KIND_REFUND_ONLY,
			Reason:    returnsv1.ReturnReason_RETURN_REASON_OTHER,
			Lines:     []*returnsv1.ReturnLineQuantity{{Line: int64(n), Quantity: left}},
		}
		calls = append(calls,
			func() (*returnsv1.RequestReturnResponse, error) { return ask(o.buyer.at(i).returns.RequestReturn, req) })
	}
	taken := 0
	for _, r := range atOnce(calls) {
		if r.err != nil {
			j.expect(r.err, "NOT_RETURNABLE")
			continue
		}
		taken++
		j.opened(
			&goingBack{order: o, unshipped: unshipped, state: requested, lines: []backLine{{line: n - 1, quantity: left}}},
			r.answer.GetReturn(),
		)
	}
	if taken != 1 {
		j.fail("%d returns have the same units of line %d of %s", taken, n, o.id)
	}
}

// changeReturn does one of all things to a return, whether its state allows it or not.
func (j *journey) changeReturn() {
	r, ok := one(j, j.returns, func(r *goingBack) bool {
		return r.state != refunded && r.state != rejected && r.state != cancelled || j.chance(10)
	})
	if !ok {
		return
	}
	steps := []func(*goingBack){j.approve, j.refund, j.send, j.receive, j.inspect, j.reject, j.takeBack}
	if !j.chance(4) {
		steps = r.next(j)
	}
	if len(steps) > 0 {
		steps[j.random.IntN(len(steps))](r)
	}
}

// next is what usually comes next.
func (r *goingBack) next(j *journey) []func(*goingBack) {
	switch {
	case r.state == requested:
		return []func(*goingBack){j.approve, j.approve, j.approve, j.reject, j.takeBack}
	case r.state == approved && r.parcel:
		return []func(*goingBack){j.send, j.send, j.receive, j.takeBack}
	case r.state == approved:
		return []func(*goingBack){j.refund, j.refund, j.refund, j.takeBack}
	case r.state == inTransit:
		return []func(*goingBack){j.receive}
	case r.state == received:
		return []func(*goingBack){j.inspect, j.refund}
	}
	return nil
}

func (j *journey) settleReturn(r *goingBack, got *returnsv1.Return, err error, allowed bool, to string) {
	if !allowed {
		j.expect(err, "RETURN_STATE_CONFLICT")
		return
	}
	j.expect(err)
	if to == rejected || to == cancelled {
		r.end(to)
	}
	r.state = to
	j.checkReturn(r, got)
}

// staffDid remembers what staff have changed.
func (j *journey) staffDid(err error, id, procedure string) {
	if err == nil {
		j.staffRequests[id] = procedure
	}
}

func (j *journey) approve(r *goingBack) {
	j.logf("approve return %s, %s", r.id, r.state)
	id := j.requestID()
	answer, err := ask(j.staff.returns.ApproveReturn, &returnsv1.ApproveReturnRequest{RequestId: id, ReturnId: r.id})
	j.staffDid(err, id, "ApproveReturn")
	j.settleReturn(r, answer.GetReturn(), err, r.state == requested, approved)
}

func (j *journey) reject(r *goingBack) {
	j.logf("reject return %s, %s", r.id, r.state)
	id := j.requestID()
	answer, err := ask(j.staff.returns.RejectReturn,
		&returnsv1.RejectReturnRequest{RequestId: id, ReturnId: r.id, Reason: "no"})
	j.staffDid(err, id, "RejectReturn")
	j.settleReturn(r, answer.GetReturn(), err, r.state == requested, rejected)
}

func (j *journey) takeBack(r *goingBack) {
	j.logf("cancel return %s, %s", r.id, r.state)
	answer, err := ask(r.order.buyer.as.returns.CancelReturn,
		&returnsv1.CancelReturnRequest{RequestId: j.requestID(), ReturnId: r.id})
	j.settleReturn(r, answer.GetReturn(), err, r.state == requested || r.state == approved, cancelled)
}

func (j *journey) send(r *goingBack) {
	j.logf("send return %s, %s, parcel %v", r.id, r.state, r.parcel)
	answer, err := ask(r.order.buyer.as.returns.SendReturn, &returnsv1.SendReturnRequest{
		RequestId: j.requestID(), ReturnId: r.id, Carrier: "post", TrackingNumber: "T-" + strconv.Itoa(j.requests),
	})
	j.settleReturn(r, answer.GetReturn(), err, r.parcel && r.state == approved, inTransit)
}

func (j *journey) receive(r *goingBack) {
	j.logf("receive return %s, %s, parcel %v", r.id, r.state, r.parcel)
	id := j.requestID()
	answer, err := ask(j.staff.returns.ReceiveReturn, &returnsv1.ReceiveReturnRequest{RequestId: id, ReturnId: r.id})
	j.staffDid(err, id, "ReceiveReturn")
	j.settleReturn(r, answer.GetReturn(), err, r.parcel && (r.state == approved || r.state == inTransit), received)
}

func (j *journey) inspect(r *goingBack) {
	j.logf("inspect return %s, %s", r.id, r.state)
	id := j.requestID()
	req := &returnsv1.InspectReturnRequest{RequestId: id, ReturnId: r.id}
	restock := make([]int64, len(r.lines))
	for i, b := range r.lines {
		restock[i] = j.between(0, b.quantity)
		req.Lines = append(req.Lines, &returnsv1.InspectedLine{Line: int64(b.line + 1), Restock: restock[i]})
	}
	answer, err := ask(j.staff.returns.InspectReturn, req)
	j.staffDid(err, id, "InspectReturn")
	j.settleReturn(r, answer.GetReturn(), err, r.state == received, received)
	if err == nil {
		for i := range r.lines {
			r.lines[i].restock = restock[i]
		}
	}
}

// refund grants a return's refund: all of it, a part, or more than there is.
func (j *journey) refund(r *goingBack) {
	whole := r.worth()
	req := &returnsv1.RefundReturnRequest{RequestId: j.requestID(), ReturnId: r.id}
	amount := whole
	if j.chance(3) {
		amount = j.between(0, whole+whole/5)
		req.Amount = eur(amount)
	}
	j.logf("refund %d of %d for return %s, %s, of %s, %s", amount, whole, r.id, r.state, r.order.id, r.order.state)
	answer, err := ask(j.staff.returns.RefundReturn, req)
	j.staffDid(err, req.GetRequestId(), "RefundReturn")
	j.expect(err, r.refundRefusals(amount > whole)...)
	if err != nil {
		return
	}
	j.granted(r, answer.GetReturn(), amount, whole)
}

// granted takes a return's refund into the model.
func (j *journey) granted(r *goingBack, got *returnsv1.Return, amount, whole int64) {
	if got.GetRefund().GetAmount() != amount {
		j.fail("%s: refunded %v", j.last(), got.GetRefund())
	}
	amounts := make([]int64, len(r.lines))
	for i, l := range got.GetLines() {
		amounts[i] = l.GetRefund().GetAmount()
		if most := r.order.lines[r.lines[i].line].share(r.lines[i].quantity); amounts[i] > most ||
			amount == whole && amounts[i] != most {
			j.fail("%s: line %d got %d of %d", j.last(), l.GetLine(), amounts[i], most)
		}
		amount -= amounts[i]
	}
	if amount != 0 {
		j.fail("%s: the lines sum to %d less", j.last(), amount)
	}
	r.grant(amounts)
	j.checkReturn(r, got)
	j.read(r.order)
}

// worth is what was paid for the return's units, as far as they are there to be refunded.
func (r *goingBack) worth() int64 {
	var whole int64
	for _, b := range r.lines {
		l := r.order.lines[b.line]
		whole += l.share(min(b.quantity, l.quantity-l.returned))
	}
	return whole
}

// refundAtOnce has a return refunded by several members of staff at the same moment:
// one of them does it.
func (j *journey) refundAtOnce() {
	r, ok := one(j, j.returns, func(r *goingBack) bool { return len(r.refundRefusals(false)) == 0 })
	if !ok {
		return
	}
	whole := r.worth()
	j.logf("refunds at once of %d for return %s of %s, %s", whole, r.id, r.order.id, r.order.state)
	var calls []func() (*returnsv1.RefundReturnResponse, error)
	var ids []string
	for range 4 {
		req := &returnsv1.RefundReturnRequest{RequestId: j.requestID(), ReturnId: r.id}
		ids = append(ids, req.GetRequestId())
		calls = append(calls,
			func() (*returnsv1.RefundReturnResponse, error) { return ask(j.staff.returns.RefundReturn, req) })
	}
	var got []*returnsv1.Return
	for i, res := range atOnce(calls) {
		j.staffDid(res.err, ids[i], "RefundReturn")
		if res.err != nil {
			j.expect(res.err, "RETURN_STATE_CONFLICT")
			continue
		}
		got = append(got, res.answer.GetReturn())
	}
	if len(got) != 1 {
		j.fail("%d refunds of return %s", len(got), r.id)
	}
	j.granted(r, got[0], whole, whole)
}

func (r *goingBack) refundRefusals(exceeds bool) []string {
	if r.parcel && r.state != received || !r.parcel && r.state != approved {
		return []string{"RETURN_STATE_CONFLICT"}
	}
	if r.order.state == cancelled {
		return []string{"ORDER_STATE_CONFLICT"}
	}
	var out []string
	for _, b := range r.lines {
		if r.unshipped && r.order.lines[b.line].returnable(true, 0) < b.quantity {
			out = append(out, "ALREADY_SHIPPED")
		}
	}
	if exceeds {
		out = append(out, "REFUND_EXCEEDS")
	}
	return out
}
