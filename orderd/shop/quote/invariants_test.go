package quote

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/freight"
)

// drawn is a shop and a selection in it, as rapid draws them.
func drawn(t *rapid.T, threshold bool) (*Facts, Input) {
	price := rapid.OneOf(rapid.Int64Range(0, 50), rapid.Int64Range(0, 1_000_000_000_000))
	n := rapid.IntRange(1, 12).Draw(t, "lines")
	f := &Facts{
		skus:  map[string]catalog.SKU{},
		rates: map[string]int64{"food": rapid.Int64Range(0, 10000).Draw(t, "rate")},
	}
	in := Input{BuyerID: buyer, AllCoupons: rapid.Bool().Draw(t, "all coupons")}
	for i := range n {
		s := sku(fmt.Sprintf("S%d", i), price.Draw(t, "price"), rapid.Int64Range(0, 1_000_000).Draw(t, "weight"))
		if rapid.Bool().Draw(t, "untaxed") {
			s.TaxClass = ""
		}
		f.skus[s.SKU] = s
		in.Lines = append(in.Lines, Line{SKU: s.SKU, Quantity: rapid.Int64Range(1, 9999).Draw(t, "quantity")})
	}
	amount := rapid.OneOf(rapid.Int64Range(1, 100), rapid.Int64Range(1, 1_000_000_000_000))
	for i, kind := range []coupon.Kind{coupon.Fixed, coupon.Percent, coupon.FreeFreight, coupon.RedEnvelope} {
		if !rapid.Bool().Draw(t, string(kind)) {
			continue
		}
		c := newCoupon(byte(i+1), kind, amount.Draw(t, "coupon"))
		c.Terms.BasisPoints = rapid.Int64Range(1, 10000).Draw(t, "basis points")
		if f.coupons == nil {
			f.coupons = map[string][]coupon.Coupon{}
		}
		f.coupons[buyer] = append(f.coupons[buyer], c)
		if rapid.Bool().Draw(t, "apply") {
			in.CouponIDs = append(in.CouponIDs, c.ID)
		}
	}
	if rapid.Bool().Draw(t, "deliver") {
		rule := freight.Rule{
			FirstUnits:       price.Draw(t, "first units"),
			FirstCharge:      price.Draw(t, "first charge"),
			AdditionalUnits:  price.Draw(t, "additional units"),
			AdditionalCharge: rapid.Int64Range(0, 1000).Draw(t, "additional charge"),
		}
		if threshold {
			from := price.Draw(t, "free from")
			rule.FreeFrom = &from
		}
		by := rapid.SampledFrom(
			[]freight.ChargeBy{freight.ByWeight, freight.ByPiece, freight.ByOrderValue},
		).Draw(t, "charge by")
		f.freight = freight.NewBook([]freight.Method{{Name: "m", Template: "t"}},
			[]freight.Template{{Name: "t", Currency: "CNY", ChargeBy: by, Rules: []freight.Rule{rule}}})
		in.Delivery = &Delivery{Address: hangzhou}
	}
	return f, in
}

// expected tells whether a refusal is one that a drawn input may meet.
func expected(err error) bool {
	switch rpcerr.Reason(err) {
	case "AMOUNT_TOO_LARGE":
		return true
	case "COUPON_UNUSABLE":
		why := rpcerr.Metadata(err)["why"]
		return why == "NO_FREIGHT" || why == "NO_EFFECT"
	}
	return false
}

func TestEverySumIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, in := drawn(t, rapid.Bool().Draw(t, "threshold"))
		q, err := f.Compute(in, noon)
		if err != nil {
			if !expected(err) {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		var goods, discount, shipping, tax, total int64
		for _, l := range q.Lines {
			if l.Discount < 0 || l.Discount > l.Amount || l.Freight < 0 || l.Tax < 0 || l.Tax > l.Total() ||
				l.Amount != l.UnitPrice*l.Quantity {
				t.Fatalf("line %+v", l)
			}
			goods, discount, shipping = goods+l.Amount, discount+l.Discount, shipping+l.Freight
			tax, total = tax+l.Tax, total+l.Total()
		}
		sums := Quote{Goods: goods, Discount: discount, Freight: shipping, Tax: tax, Total: total}
		heads := Quote{Goods: q.Goods, Discount: q.Discount, Freight: q.Freight, Tax: q.Tax, Total: q.Total}
		if diff := cmp.Diff(heads, sums); diff != "" {
			t.Fatalf("the lines sum to something else (-head +lines):\n%s", diff)
		}
		if q.Total != q.Goods-q.Discount+q.Freight || q.Tax > q.Total {
			t.Fatalf("heads %+v", heads)
		}
		var off int64
		applied := 0
		for _, c := range q.Coupons {
			if c.Applied {
				off += c.Discount
				applied++
			}
		}
		charged := q.Freight
		if len(q.Deliveries) > 0 {
			charged = q.Deliveries[0].Freight
		}
		if applied != len(in.CouponIDs) || q.Discount+charged-q.Freight != off {
			t.Fatalf("%d of %d coupons take off %d; goods %d, freight %d of %d", applied, len(in.CouponIDs), off, q.Discount,
				q.Freight, charged)
		}
	})
}

func TestTheOrderOfLinesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, in := drawn(t, true)
		q, err := f.Compute(in, noon)
		if err != nil {
			return
		}
		in.Lines = rapid.Permutation(in.Lines).Draw(t, "permuted")
		in.CouponIDs = rapid.Permutation(in.CouponIDs).Draw(t, "permuted coupons")
		other, err := f.Compute(in, noon)
		if err != nil {
			t.Fatal(err)
		}
		if q.Goods != other.Goods || q.Discount != other.Discount || q.Freight != other.Freight || q.Total != other.Total {
			t.Fatalf("%+v became %+v", q, other)
		}
	})
}

// But for free freight above a threshold, which a discount may miss, more discount never costs more.
func TestMoreDiscountNeverCostsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, in := drawn(t, false)
		more := newCoupon(9, coupon.Fixed, rapid.Int64Range(1, 1_000_000_000_000).Draw(t, "amount"))
		more.Terms.StackingGroup = "more"
		less := more
		less.ID, less.Amount = uuid.UUID{10}, rapid.Int64Range(1, more.Amount).Draw(t, "less")
		f.coupons = map[string][]coupon.Coupon{buyer: append(f.coupons[buyer], more, less)}
		without := in
		var totals []int64
		for _, ids := range [][]uuid.UUID{{more.ID}, {less.ID}, nil} {
			in.CouponIDs = append(append([]uuid.UUID{}, without.CouponIDs...), ids...)
			q, err := f.Compute(in, noon)
			if err != nil {
				return
			}
			totals = append(totals, q.Total)
		}
		if totals[0] > totals[1] || totals[1] > totals[2] {
			t.Fatalf("totals with %d off, %d off, none: %v", more.Amount, less.Amount, totals)
		}
	})
}

// Nothing that the database may hold makes Compute panic or sum wrongly.
func TestHugeNumbersAreRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		huge := rapid.Int64Range(0, math.MaxInt64)
		f, in := drawn(t, true)
		for code, s := range f.skus {
			s.UnitPrice, s.WeightGrams = huge.Draw(t, "price"), huge.Draw(t, "weight")
			f.skus[code] = s
		}
		q, err := f.Compute(in, noon)
		if err != nil {
			return
		}
		var total int64
		for _, l := range q.Lines {
			total += l.Total()
		}
		if total != q.Total || total < 0 {
			t.Fatalf("lines sum to %d, total %d", total, q.Total)
		}
	})
}
