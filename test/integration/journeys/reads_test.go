package journeys

import (
	"fmt"
	"strings"

	cartv1 "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
)

// readAll compares all that can be read with the model.
func (j *journey) readAll() {
	for _, s := range j.skus {
		j.readSKU(s)
	}
	for _, b := range j.buyers {
		j.readCart(b)
		j.readCoupons(b)
	}
	for _, o := range j.orders {
		j.read(o)
	}
}

func (j *journey) readSome() {
	s, _ := any1(j, j.skus)
	j.readSKU(s)
	b, _ := any1(j, j.buyers)
	j.readCart(b)
	j.readCoupons(b)
	if o, ok := any1(j, j.orders); ok {
		j.read(o)
	}
}

func (j *journey) readSKU(s *sku) {
	j.logf("read %s", s.code)
	answer, err := ask(j.staff.catalog.GetSku, &catalogv1.GetSkuRequest{Sku: s.code})
	j.expect(err)
	if answer.GetSku().GetPrice().GetAmount() != s.price || answer.GetSku().GetOnSale() != s.onSale {
		j.fail("%s is %v, want %d, on sale %v", s.code, answer.GetSku(), s.price, s.onSale)
	}
	j.checkStock(s, answer.GetStock())
}

func (j *journey) readCart(b *buyer) {
	j.logf("read the cart of %s", b.id)
	answer, err := ask(b.as.carts.GetCart, &cartv1.GetCartRequest{})
	j.expect(err)
	got := map[string]cartLine{}
	for _, l := range answer.GetLines() {
		got[l.GetItem().GetSku()] = cartLine{quantity: l.GetItem().GetQuantity(), selected: l.GetItem().GetSelected()}
	}
	if len(got) != len(b.cart) {
		j.fail("the cart of %s is %v, want %d lines", b.id, got, len(b.cart))
	}
	for s, l := range b.cart {
		if got[s.code] != *l {
			j.fail("the cart of %s has %v of %s, want %v", b.id, got[s.code], s.code, *l)
		}
	}
}

// readCoupons leaves out the gifts.
func (j *journey) readCoupons(b *buyer) {
	j.logf("read the coupons of %s", b.id)
	for _, state := range []string{available, locked, used} {
		answer, err := ask(b.as.coupons.ListCoupons, &couponv1.ListCouponsRequest{
			State: couponv1.CouponState(couponv1.CouponState_value["COUPON_STATE_"+state]), PageSize: 100,
		})
		j.expect(err)
		got := map[string]string{}
		for _, c := range answer.GetCoupons() {
			if c.GetTerms().GetName() == j.template {
				got[c.GetCouponId()] = c.GetOrderId()
			}
		}
		for _, c := range j.coupons {
			if c.buyer != b || c.state != state {
				continue
			}
			id, ok := got[c.id]
			if !ok || c.order != nil && id != c.order.id {
				j.fail("coupon %s is not %s for order %v; %v are", c.id, state, c.order, got)
			}
			delete(got, c.id)
		}
		if len(got) > 0 {
			j.fail("coupons %v of %s are %s and should not be", got, b.id, state)
		}
	}
}

func (j *journey) read(o *order) {
	j.logf("read order %s", o.id)
	answer, err := ask(o.buyer.as.orders.GetOrder, &orderv1.GetOrderRequest{OrderId: o.id})
	j.expect(err)
	j.checkOrder(o, answer.GetOrder())
}

func stateOf(o *orderv1.Order) string {
	return strings.TrimPrefix(o.GetState().String(), "ORDER_STATE_")
}

func (j *journey) checkOrder(o *order, got *orderv1.Order) {
	if stateOf(got) != o.state || got.GetTotal().GetAmount() != o.total || len(got.GetLines()) != len(o.lines) {
		j.fail("%s: order %s is %s of %d, want %s of %d", j.last(), o.id, stateOf(got), got.GetTotal().GetAmount(), o.state,
			o.total)
	}
	for i, l := range o.lines {
		g := got.GetLines()[i]
		have := []int64{
			g.GetShippedQuantity(),
			g.GetDeliveredQuantity(),
			g.GetReturnedQuantity(),
			g.GetRefundGranted().GetAmount(),
			g.GetTotal().GetAmount(),
		}
		want := []int64{l.shipped, l.delivered, l.returned, l.granted, l.total}
		if fmt.Sprint(have) != fmt.Sprint(want) {
			j.fail("%s: order %s line %d has shipped, delivered, returned, granted, total %v, want %v", j.last(), o.id, i+1,
				have, want)
		}
		if g.GetRefunded().GetAmount() > l.granted {
			j.fail("order %s line %d: %d refunded of %d granted", o.id, i+1, g.GetRefunded().GetAmount(), l.granted)
		}
	}
}
