package journeys

import (
	"strings"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// wish is something that a buyer could want, now and then what cannot be had.
func (j *journey) wish(b *buyer) want {
	w := want{nowhere: j.chance(15)}
	for _, i := range j.random.Perm(len(j.skus))[:1+j.random.IntN(2)] {
		w.lines = append(w.lines, wanted{sku: j.skus[i], quantity: j.between(1, 4)})
	}
	w.coupon = j.wishedCoupon(b)
	return w
}

// wishedCoupon is mostly one that can be used.
func (j *journey) wishedCoupon(b *buyer) *coupon {
	if j.chance(2) {
		return nil
	}
	c, _ := one(j, j.coupons,
		func(c *coupon) bool { return c.buyer == b && (c.state == available || j.chance(6)) || j.chance(20) })
	return c
}

func (w want) String() string {
	var out strings.Builder
	for _, l := range w.lines {
		out.WriteString(l.sku.code[strings.Index(l.sku.code, "-")+1:] + "×" + string(rune('0'+l.quantity)) + " ")
	}
	if w.coupon != nil {
		out.WriteString("with coupon " + w.coupon.id)
	}
	if w.nowhere {
		out.WriteString(" to nowhere")
	}
	return out.String()
}

func (j *journey) quote() {
	b, _ := any1(j, j.buyers)
	w := j.wish(b)
	req := &quotev1.QuoteOrderRequest{Delivery: w.delivery(), CouponIds: w.couponIDs()}
	if j.chance(3) {
		w.lines = nil
		for _, s := range j.skus {
			if l := b.cart[s]; l != nil && l.selected {
				w.lines = append(w.lines, wanted{sku: s, quantity: l.quantity})
			}
		}
		j.logf("%s quotes the cart: %v", b.id, w)
	} else {
		for _, l := range w.lines {
			req.Lines = append(req.Lines, &quotev1.SelectedLine{Sku: l.sku.code, Quantity: l.quantity})
		}
		j.logf("%s quotes %v", b.id, w)
	}
	answer, err := ask(b.as.quotes.QuoteOrder, req)
	j.expect(err, w.refusals(b)...)
	if err == nil {
		j.keep(b, w, answer.GetQuote())
	}
}

// priced is a line of a quote or an order.
type priced interface {
	GetSku() string
	GetQuantity() int64
	GetAmount() *moneyv1.Money
	GetDiscount() *moneyv1.Money
	GetFreight() *moneyv1.Money
	GetTotal() *moneyv1.Money
}

// checkPrice compares lines with what they should cost, and puts w's lines into their sequence.
func checkPrice[L priced](j *journey, w *want, lines []L, total int64) {
	goods, discount := w.goods(), w.discount(j.worth)
	var sums [3]int64
	var sequence []wanted
	for _, l := range lines {
		for _, x := range w.lines {
			if x.sku.code == l.GetSku() && x.quantity == l.GetQuantity() && l.GetAmount().GetAmount() == x.quantity*x.sku.price {
				sequence = append(sequence, x)
			}
		}
		off, carriage := l.GetDiscount().GetAmount(), l.GetFreight().GetAmount()
		sums[0], sums[1], sums[2] = sums[0]+off, sums[1]+carriage, sums[2]+l.GetTotal().GetAmount()
		if l.GetTotal().GetAmount() != l.GetAmount().GetAmount()-off+carriage || off < 0 || carriage < 0 {
			j.fail("%s: a line's total is not its parts: %v", j.last(), l)
		}
		// By the largest remainder no share is a whole unit away from the exact one.
		if exact := discount * l.GetAmount().GetAmount(); off*goods <= exact-goods || off*goods >= exact+goods {
			j.fail("%s: a line's discount is %d of %d for %d of %d", j.last(), off, discount, l.GetAmount().GetAmount(), goods)
		}
	}
	if len(sequence) != len(w.lines) || len(lines) != len(w.lines) || sums[0] != discount || sums[1] != freight ||
		sums[2] != total ||
		total != goods-discount+freight {
		j.fail("%s: %v: lines %v sum to %v, total %d; want goods %d, discount %d, freight %d", j.last(), w, lines, sums,
			total, goods, discount, freight)
	}
	w.lines = sequence
}

// keep remembers a quote that was given now.
func (j *journey) keep(b *buyer, w want, q *quotev1.Quote) {
	checkPrice(j, &w, q.GetLines(), q.GetTotal().GetAmount())
	p := &promise{buyer: b, token: q.GetToken(), want: w}
	for _, l := range w.lines {
		p.prices = append(p.prices, l.sku.price)
	}
	j.promises = append(j.promises, p)
}

func (j *journey) placeByToken() {
	if len(j.promises) == 0 {
		return
	}
	// Mostly the newest.
	p := j.promises[len(j.promises)-1]
	if j.chance(3) {
		p, _ = any1(j, j.promises)
	}
	j.logf("%s places the quote of %v", p.buyer.id, p.want)
	w := p.want
	refusals := p.refusals()
	answer, err := ask(p.buyer.as.orders.PlaceOrder,
		&orderv1.PlaceOrderRequest{RequestId: j.requestID(), QuoteToken: p.token})
	j.placed(p.buyer, w, refusals, answer, err)
	if rpcerr.Reason(err) != "PRICE_CHANGED" {
		return
	}
	if q, ok := rpcerr.Detail[*quotev1.Quote](err); ok {
		j.keep(p.buyer, w, q)
		return
	}
	j.fail("PRICE_CHANGED has no quote")
}

func request(id string, w want) *orderv1.PlaceOrderRequest {
	req := &orderv1.PlaceOrderRequest{RequestId: id, Delivery: w.delivery(), CouponIds: w.couponIDs()}
	for _, l := range w.lines {
		req.Lines = append(req.Lines, &orderv1.PlaceOrderLine{Sku: l.sku.code, Quantity: l.quantity})
	}
	return req
}

func (j *journey) place() {
	b, _ := any1(j, j.buyers)
	w := j.wish(b)
	j.logf("%s places %v", b.id, w)
	answer, err := ask(b.as.orders.PlaceOrder, request(j.requestID(), w))
	j.placed(b, w, w.refusals(b), answer, err)
}

// placed takes the answer of a placing into the model.
func (j *journey) placed(b *buyer, w want, refusals []string, answer *orderv1.PlaceOrderResponse, err error) *order {
	if len(refusals) == 0 && w.short() {
		refusals = []string{"INSUFFICIENT_STOCK"}
	}
	j.expect(err, refusals...)
	if err != nil {
		return nil
	}
	got := answer.GetOrder()
	checkPrice(j, &w, got.GetLines(), got.GetTotal().GetAmount())
	o := &order{id: got.GetOrderId(), buyer: b, state: pending, total: got.GetTotal().GetAmount(), coupon: w.coupon}
	for i, l := range w.lines {
		o.lines = append(o.lines,
			&line{sku: l.sku, quantity: l.quantity, total: got.GetLines()[i].GetTotal().GetAmount(), open: map[bool]int64{}})
	}
	o.reserve()
	j.checkOrder(o, got)
	j.orders = append(j.orders, o)
	j.logf("  order %s, to be paid in %v", o.id, got.GetExpiresAt().AsTime().Sub(got.GetCreatedAt().AsTime()))
	return o
}

// placeAgain repeats a request that was placed, as it was and with another body.
func (j *journey) placeAgain() {
	b, _ := any1(j, j.buyers)
	w := j.wish(b)
	req := request(j.requestID(), w)
	j.logf("%s places %v, and again", b.id, w)
	answer, err := ask(b.as.orders.PlaceOrder, req)
	o := j.placed(b, w, w.refusals(b), answer, err)
	if o == nil {
		return
	}
	answer, err = ask(b.as.orders.PlaceOrder, req)
	j.expect(err)
	if answer.GetOrder().GetOrderId() != o.id {
		j.fail("the same request placed %s and %s", o.id, answer.GetOrder().GetOrderId())
	}
	other := request(req.GetRequestId(), w)
	other.Lines[0].Quantity++
	_, err = ask(b.as.orders.PlaceOrder, other)
	j.expect(err, "REQUEST_ID_REUSED")
}

// placeLastUnits has several orders placed at once, at two pods, for a SKU that has not
// enough for all of them.
func (j *journey) placeLastUnits() {
	s, ok := one(j, j.skus, func(s *sku) bool { return s.onSale })
	if !ok {
		return
	}
	j.logf("the last %d of %s", s.available, s.code)
	var calls []func() (*orderv1.PlaceOrderResponse, error)
	var wishes []want
	var who []*buyer
	for i := range 4 {
		b := j.buyers[i%len(j.buyers)]
		w := want{lines: []wanted{{sku: s, quantity: j.between(1+s.available/4, 2+s.available/2)}}}
		req := request(j.requestID(), w)
		who, wishes = append(who, b), append(wishes, w)
		calls = append(calls, func() (*orderv1.PlaceOrderResponse, error) { return ask(b.at(i/2).orders.PlaceOrder, req) })
	}
	before := s.available
	var refused []int
	var placed int64
	results := atOnce(calls)
	for i, r := range results {
		if r.err == nil {
			placed += wishes[i].lines[0].quantity
			continue
		}
		refused = append(refused, i)
	}
	if placed > before {
		j.fail("%d units of %s were placed, there were %d", placed, s.code, before)
	}
	for i, r := range results {
		if r.err == nil {
			j.placed(who[i], wishes[i], nil, r.answer, nil)
		}
	}
	for _, i := range refused {
		j.expect(results[i].err, "INSUFFICIENT_STOCK")
		if wishes[i].lines[0].quantity <= s.available {
			j.fail("%d of %s were refused, %d are left", wishes[i].lines[0].quantity, s.code, s.available)
		}
	}
	j.readSKU(s)
}

// placeOnceAtOnce sends one request several times at the same moment, to two pods.
func (j *journey) placeOnceAtOnce() {
	b, _ := any1(j, j.buyers)
	w := j.wish(b)
	req := request(j.requestID(), w)
	j.logf("%s places %v, at once again", b.id, w)
	var calls []func() (*orderv1.PlaceOrderResponse, error)
	for i := range 3 {
		calls = append(calls, func() (*orderv1.PlaceOrderResponse, error) { return ask(b.at(i).orders.PlaceOrder, req) })
	}
	results := atOnce(calls)
	o := j.placed(b, w, w.refusals(b), results[0].answer, results[0].err)
	for _, r := range results[1:] {
		if o == nil && r.err != nil && rpcerr.Reason(r.err) == rpcerr.Reason(results[0].err) {
			continue
		}
		if o == nil || r.err != nil || r.answer.GetOrder().GetOrderId() != o.id {
			j.fail("the same request at once: %v, %v and %v, %v", results[0].answer, results[0].err, r.answer, r.err)
		}
	}
}

// placeAndExpire places an order that has little time to be paid, and waits until that is over.
func (j *journey) placeAndExpire() {
	b, _ := any1(j, j.buyers)
	j.expirePlaced(b, j.wish(b))
}

func (j *journey) expirePlaced(b *buyer, w want) {
	j.logf("%s places %v at the hasty pod", b.id, w)
	answer, err := ask(b.hasty.orders.PlaceOrder, request(j.requestID(), w))
	o := j.placed(b, w, w.refusals(b), answer, err)
	if o == nil {
		return
	}
	if j.chance(2) {
		j.createPaymentFor(o, "ORDER_STATE_CONFLICT", "PAYMENT_TIME_OVER")
	}
	j.must(until("order "+o.id+" expires", func() (bool, error) {
		answer, err := ask(b.as.orders.GetOrder, &orderv1.GetOrderRequest{OrderId: o.id})
		return stateOf(answer.GetOrder()) == cancelled && answer.GetOrder().GetCancelReason() == "EXPIRED", err
	}))
	o.release()
	j.read(o)
}

func (j *journey) cancel() {
	o, ok := any1(j, j.orders)
	if !ok {
		return
	}
	j.logf("cancel %s, %s", o.id, o.state)
	req := &orderv1.CancelOrderRequest{RequestId: j.requestID(), OrderId: o.id}
	answer, err := ask(o.buyer.as.orders.CancelOrder, req)
	switch o.state {
	case shipped, delivered, completed:
		j.expect(err, "ORDER_STATE_CONFLICT")
		return
	case pending:
		o.release()
	case paid:
		o.cancelPaid()
	}
	j.expect(err)
	j.checkOrder(o, answer.GetOrder())
}

func (j *journey) confirm() {
	o, ok := one(j, j.orders, func(o *order) bool { return o.state == shipped || o.state == delivered || j.chance(8) })
	if !ok {
		return
	}
	j.logf("confirm %s, %s", o.id, o.state)
	answer, err := ask(o.buyer.as.orders.ConfirmReceipt,
		&orderv1.ConfirmReceiptRequest{RequestId: j.requestID(), OrderId: o.id})
	switch o.state {
	case pending, paid, cancelled:
		j.expect(err, "ORDER_STATE_CONFLICT")
		return
	case shipped, delivered:
		o.arrive()
		o.state = completed
	}
	j.expect(err)
	j.checkOrder(o, answer.GetOrder())
}
