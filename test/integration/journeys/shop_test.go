package journeys

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	cartv1 "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
)

const (
	skusOfShop   = 3
	buyersOfShop = 2
	// giftBudget is how many orders of a journey its campaign rewards.
	giftBudget = 3
)

func eur(amount int64) *moneyv1.Money { return &moneyv1.Money{Amount: amount, Currency: currency} }

// furnish is what all journeys share.
func (w *world) furnish() {
	w.Helper()
	_, err := ask(
		w.staff.freight.UpsertFreightTemplate,
		&freightv1.UpsertFreightTemplateRequest{RequestId: "template", Template: &freightv1.FreightTemplate{
			Name: "flat", Currency: currency, ChargeBy: freightv1.ChargeBy_CHARGE_BY_PIECE, Rules: []*freightv1.FreightRule{
				{FirstUnits: 1, FirstCharge: freight}, {Country: "CN", Region: "Nowhere", NotDeliverable: true},
			},
		}},
	)
	w.must(err)
	_, err = ask(w.staff.freight.UpsertDeliveryMethod, &freightv1.UpsertDeliveryMethodRequest{
		RequestId: "method", Method: &freightv1.DeliveryMethod{Name: method, Title: "Courier", Template: "flat"},
	})
	w.must(err)
}

// open makes the journey's own shop.
func (j *journey) open() {
	var codes []string
	for n := range skusOfShop {
		s := &sku{code: fmt.Sprintf("%s-sku-%d", j.name, n), price: j.between(1, 3000), onSale: true}
		j.skus, codes = append(j.skus, s), append(codes, s.code)
		j.upsert(s)
		j.adjust(s, j.between(4, 30))
	}
	for n := range buyersOfShop {
		id := fmt.Sprintf("%s-buyer-%d", j.name, n)
		token := j.w.shop.Issuer.Token(id, "buyer")
		j.buyers = append(j.buyers, &buyer{
			id:    id,
			as:    j.w.clients(j.w.url, token),
			back:  j.w.clients(j.w.backURL, token),
			hasty: j.w.clients(j.w.hastyURL, token),
			cart:  map[*sku]*cartLine{},
		})
	}
	j.template, j.worth, j.budget, j.limit = j.name+"-coupon", j.between(1, 4000), j.between(1, 5), j.between(1, 3)
	validity := &couponv1.Validity{Days: 10}
	j.putTemplate(&couponv1.CouponTemplate{
		Name:             j.template,
		Title:            "Off",
		Currency:         currency,
		Benefit:          &couponv1.CouponTemplate_Fixed{Fixed: &couponv1.Fixed{Amount: j.worth}},
		Validity:         validity,
		LimitPerBuyer:    j.limit,
		Budget:           &couponv1.Budget{Coupons: j.budget},
		ReturnedOnCancel: true,
		Claimable:        true,
	})
	j.putTemplate(&couponv1.CouponTemplate{
		Name:          j.name + "-gift",
		Title:         "Gift",
		Currency:      currency,
		Benefit:       &couponv1.CouponTemplate_Fixed{Fixed: &couponv1.Fixed{Amount: 100}},
		Validity:      validity,
		LimitPerBuyer: 100,
		Budget:        &couponv1.Budget{Coupons: 100},
	})
	j.campaign = j.name + "-campaign"
	id := j.requestID()
	_, err := ask(
		j.staff.rewards.UpsertCampaign,
		&rewardv1.UpsertCampaignRequest{RequestId: id, Campaign: &rewardv1.Campaign{
			Name:  j.campaign,
			Title: "Thanks",
			From:  timestamppb.New(time.Now().Add(-time.Hour)),
			Until: timestamppb.New(time.Now().Add(24 * time.Hour)),
			Condition: &rewardv1.Condition{
				Skus: codes,
			},
			Template:  j.name + "-gift",
			Quantity:  1,
			Budget:    giftBudget,
			TakenBack: true,
		}},
	)
	j.must(err)
	j.staffRequests[id] = "UpsertCampaign"
}

func (j *journey) putTemplate(t *couponv1.CouponTemplate) {
	id := j.requestID()
	_, err := ask(j.staff.coupons.UpsertCouponTemplate, &couponv1.UpsertCouponTemplateRequest{RequestId: id, Template: t})
	j.must(err)
	j.staffRequests[id] = "UpsertCouponTemplate"
}

func (j *journey) upsert(s *sku) {
	j.logf("%s costs %d, on sale %v", s.code, s.price, s.onSale)
	id := j.requestID()
	_, err := ask(j.staff.catalog.UpsertSku, &catalogv1.UpsertSkuRequest{
		RequestId: id, Sku: &catalogv1.Sku{Sku: s.code, Title: s.code, Price: eur(s.price), OnSale: s.onSale},
	})
	j.expect(err)
	j.staffRequests[id] = "UpsertSku"
}

func (j *journey) adjust(s *sku, delta int64) {
	j.logf("%s: %+d in stock of %d", s.code, delta, s.available)
	id := j.requestID()
	answer, err := ask(j.staff.catalog.AdjustStock,
		&catalogv1.AdjustStockRequest{RequestId: id, Sku: s.code, Delta: delta})
	if s.available+delta < 0 {
		j.expect(err, "INSUFFICIENT_STOCK")
		return
	}
	j.expect(err)
	s.available += delta
	j.checkStock(s, answer.GetStock())
	j.staffRequests[id] = "AdjustStock"
}

func (j *journey) checkStock(s *sku, got *catalogv1.Stock) {
	if got.GetAvailable() != s.available || got.GetReserved() != s.reserved || got.GetDeducted() != s.sold {
		j.fail("%s: stock of %s is %v, want %d available, %d reserved, %d deducted", j.last(), s.code, got, s.available,
			s.reserved, s.sold)
	}
}

// The actions of staff and on carts.

func (j *journey) changePrice() {
	s, _ := any1(j, j.skus)
	s.price = j.between(1, 3000)
	j.upsert(s)
}

func (j *journey) changeSale() {
	s, _ := any1(j, j.skus)
	s.onSale = !s.onSale || j.chance(2)
	j.upsert(s)
}

func (j *journey) changeStock() {
	s, _ := any1(j, j.skus)
	delta := j.between(-12, 25)
	if delta == 0 {
		delta = 1
	}
	j.adjust(s, delta)
}

func (j *journey) spread() {
	s, _ := any1(j, j.skus)
	buckets := j.between(1, 4)
	j.logf("%s over %d buckets", s.code, buckets)
	id := j.requestID()
	answer, err := ask(j.staff.catalog.SpreadStock,
		&catalogv1.SpreadStockRequest{RequestId: id, Sku: s.code, Buckets: buckets})
	j.expect(err)
	j.checkStock(s, answer.GetStock())
	j.staffRequests[id] = "SpreadStock"
}

func (j *journey) addToCart() {
	b, _ := any1(j, j.buyers)
	s, _ := any1(j, j.skus)
	n := j.between(1, 4)
	j.logf("%s: %d of %s in the cart", b.id, n, s.code)
	_, err := ask(b.as.carts.AddCartLine, &cartv1.AddCartLineRequest{RequestId: j.requestID(), Sku: s.code, Quantity: n})
	if !s.onSale {
		j.expect(err, "SKU_NOT_ON_SALE")
		return
	}
	j.expect(err)
	if b.cart[s] == nil {
		b.cart[s] = &cartLine{}
	}
	b.cart[s].quantity, b.cart[s].selected = b.cart[s].quantity+n, true
}

func (j *journey) changeCart() {
	b, _ := any1(j, j.buyers)
	s, _ := any1(j, j.skus)
	switch j.random.IntN(3) {
	case 0:
		n := j.between(1, 5)
		j.logf("%s: cart has %d of %s", b.id, n, s.code)
		_, err := ask(b.as.carts.ChangeCartLine,
			&cartv1.ChangeCartLineRequest{RequestId: j.requestID(), Sku: s.code, Quantity: n})
		if b.cart[s] == nil {
			j.expect(err, "CART_LINE_NOT_FOUND")
			return
		}
		j.expect(err)
		b.cart[s].quantity = n
	case 1:
		j.logf("%s: no %s in the cart", b.id, s.code)
		_, err := ask(b.as.carts.RemoveCartLines,
			&cartv1.RemoveCartLinesRequest{RequestId: j.requestID(), Skus: []string{s.code}})
		j.expect(err)
		delete(b.cart, s)
	case 2:
		on := j.chance(2)
		j.logf("%s: %s in the cart is selected: %v", b.id, s.code, on)
		_, err := ask(b.as.carts.SelectCartLines,
			&cartv1.SelectCartLinesRequest{RequestId: j.requestID(), Skus: []string{s.code}, Selected: on})
		j.expect(err)
		if b.cart[s] != nil {
			b.cart[s].selected = on
		}
	}
}

func (j *journey) claim() {
	b, _ := any1(j, j.buyers)
	j.logf("%s claims a coupon, %d of %d are taken, %d of %d by them", b.id, len(j.coupons), j.budget, b.had, j.limit)
	answer, err := ask(b.as.coupons.ClaimCoupon,
		&couponv1.ClaimCouponRequest{RequestId: j.requestID(), Template: j.template})
	var refusals []string
	if int64(len(j.coupons)) >= j.budget {
		refusals = append(refusals, "COUPON_EXHAUSTED")
	}
	if b.had >= j.limit {
		refusals = append(refusals, "LIMIT_PER_BUYER")
	}
	j.expect(err, refusals...)
	if err == nil {
		b.had++
		j.coupons = append(j.coupons, &coupon{id: answer.GetCoupon().GetCouponId(), buyer: b, state: available})
	}
}

// claimAtOnce has both buyers claim several times at the same moment.
func (j *journey) claimAtOnce() {
	j.logf("claims at once, %d of %d are taken", len(j.coupons), j.budget)
	var calls []func() (*couponv1.ClaimCouponResponse, error)
	var who []*buyer
	for _, b := range j.buyers {
		for i := range 2 {
			req := &couponv1.ClaimCouponRequest{RequestId: j.requestID(), Template: j.template}
			who = append(who, b)
			calls = append(calls, func() (*couponv1.ClaimCouponResponse, error) { return ask(b.at(i).coupons.ClaimCoupon, req) })
		}
	}
	for i, r := range atOnce(calls) {
		if r.err == nil {
			who[i].had++
			j.coupons = append(j.coupons, &coupon{id: r.answer.GetCoupon().GetCouponId(), buyer: who[i], state: available})
			continue
		}
		j.expect(r.err, "COUPON_EXHAUSTED", "LIMIT_PER_BUYER")
	}
	if int64(len(j.coupons)) > j.budget {
		j.fail("%d coupons of a budget of %d", len(j.coupons), j.budget)
	}
	for _, b := range j.buyers {
		if b.had > j.limit {
			j.fail("%s has had %d coupons, the limit is %d", b.id, b.had, j.limit)
		}
		if int64(len(j.coupons)) < j.budget && b.had < min(j.limit, 2) {
			j.fail("%s was refused a coupon that was there", b.id)
		}
	}
}

// delivery to a place that is delivered to, or not.
func (w want) delivery() *quotev1.Delivery {
	a := &addressv1.Address{
		Recipient: "A Buyer",
		Phone:     "+86 100 0000",
		Country:   "CN",
		Region:    "Here",
		City:      "Town",
		Street:    "1 Street",
	}
	if w.nowhere {
		a.Region = "Nowhere"
	}
	return &quotev1.Delivery{Address: a, Method: method}
}

func (w want) couponIDs() []string {
	if w.coupon == nil {
		return nil
	}
	return []string{w.coupon.id}
}

type result[A any] struct {
	answer A
	err    error
}

// atOnce makes calls at the same moment.
func atOnce[A any](calls []func() (A, error)) []result[A] {
	out := make([]result[A], len(calls))
	done := make(chan struct{})
	for i, call := range calls {
		go func() {
			out[i].answer, out[i].err = call()
			done <- struct{}{}
		}()
	}
	for range calls {
		<-done
	}
	return out
}
