package quote

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/address"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/freight"
)

var (
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	hangzhou = &addressv1.Address{
		Recipient: "Ann",
		Phone:     "12345",
		Country:   "CN",
		Region:    "Zhejiang",
		City:      "Hangzhou",
		Street:    "West Lake 1",
	}
	lhasa = &addressv1.Address{
		Recipient: "Ann",
		Phone:     "12345",
		Country:   "CN",
		Region:    "Tibet",
		City:      "Lhasa",
		Street:    "Potala 1",
	}
)

const buyer = "ann"

func sku(code string, price, weight int64) catalog.SKU {
	return catalog.SKU{
		SKU:         code,
		Title:       "Title of " + code,
		UnitPrice:   price,
		Currency:    "CNY",
		OnSale:      true,
		WeightGrams: weight,
		Category:    "tea",
		TaxClass:    "food",
	}
}

func newCoupon(id byte, kind coupon.Kind, amount int64) coupon.Coupon {
	return coupon.Coupon{
		ID:         uuid.UUID{id},
		BuyerID:    buyer,
		State:      coupon.Available,
		Amount:     amount,
		ValidFrom:  noon.Add(-time.Hour),
		ValidUntil: noon.Add(time.Hour),
		Terms: &coupon.Terms{
			Title:         string(kind),
			Kind:          kind,
			Currency:      "CNY",
			Amount:        amount,
			BasisPoints:   1000,
			Cap:           amount,
			StackingGroup: string(kind),
		},
	}
}

// shop is the facts of the table tests.
func shop() *Facts {
	from := int64(10000)
	other := sku("USD", 100, 1)
	other.Currency = "USD"
	off := sku("OFF", 100, 1)
	off.OnSale = false
	f := &Facts{
		skus: map[string]catalog.SKU{
			"A":     sku("A", 1000, 300),
			"B":     sku("B", 2999, 0),
			"HUGE":  sku("HUGE", math.MaxInt64/2, 1),
			"HEAVY": sku("HEAVY", 1, math.MaxInt64/2),
			"USD":   other,
			"OFF":   off,
		},
		rates: map[string]int64{"food": 900},
		freight: freight.NewBook(
			[]freight.Method{
				{Name: "standard", Title: "Standard", Template: "weight"},
				{Name: "express", Title: "Express", Template: "flat"},
				{Name: "abroad", Title: "Abroad", Template: "usd"},
			},
			[]freight.Template{
				{Name: "weight", Currency: "CNY", ChargeBy: freight.ByWeight, Rules: []freight.Rule{
					{Country: "CN", FirstUnits: 500, FirstCharge: 800, AdditionalUnits: 500, AdditionalCharge: 101, FreeFrom: &from},
					{Country: "CN", Region: "Tibet", NotDeliverable: true},
				}},
				{
					Name:     "flat",
					Currency: "CNY",
					ChargeBy: freight.ByPiece,
					Rules:    []freight.Rule{{Country: "CN", FirstCharge: 2000}},
				},
				{Name: "usd", Currency: "USD", ChargeBy: freight.ByPiece, Rules: []freight.Rule{{FirstCharge: 100}}},
			},
		),
		coupons: map[string][]coupon.Coupon{
			buyer: {newCoupon(1, coupon.Fixed, 500), newCoupon(2, coupon.FreeFreight, 700), newCoupon(3, coupon.Fixed, 100)},
			"bob": {newCoupon(9, coupon.Fixed, 500)},
		},
	}
	f.addresses = map[address.Key]*addressv1.Address{{BuyerID: buyer, ID: uuid.UUID{1}}: hangzhou}
	return f
}

func TestCompute(t *testing.T) {
	want := &Quote{
		Lines: []QuotedLine{
			// The freight is by weight, and B weighs nothing; the discount by amount,
			// 500 * 3000/5999 = 250.04.
			{SKU: "A", Title: "Title of A", Quantity: 3, UnitPrice: 1000, Amount: 3000, Discount: 250, Freight: 201, Tax: 244},
			{SKU: "B", Title: "Title of B", Quantity: 1, UnitPrice: 2999, Amount: 2999, Discount: 250, Freight: 0, Tax: 227},
		},
		Currency:       "CNY",
		Goods:          5999,
		Discount:       500,
		Freight:        201,
		Tax:            471,
		Total:          5700,
		Address:        hangzhou,
		DeliveryMethod: "standard",
		CouponIDs:      []uuid.UUID{{1}, {2}},
		Coupons: []QuotedCoupon{
			{ID: uuid.UUID{2}, Title: "FREE_FREIGHT", Discount: 700, Applied: true},
			{ID: uuid.UUID{1}, Title: "FIXED", Discount: 500, Applied: true},
			{ID: uuid.UUID{3}, Title: "FIXED", Discount: 100, Unusable: "NOT_STACKABLE"},
		},
		Deliveries: []QuotedDelivery{
			{Method: "standard", Title: "Standard", Freight: 901},
			{Method: "express", Title: "Express", Freight: 2000},
		},
	}
	in := Input{
		BuyerID: buyer, Lines: []Line{{SKU: "A", Quantity: 3}, {SKU: "B", Quantity: 1}},
		Delivery: &Delivery{AddressID: uuid.UUID{1}}, CouponIDs: []uuid.UUID{{2}, {1}}, AllCoupons: true,
	}
	got, err := shop().Compute(in, noon)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("quote (-want +got):\n%s", diff)
	}
}

func TestTheThresholdIsOfGoodsAfterDiscount(t *testing.T) {
	in := Input{BuyerID: buyer, Lines: []Line{{SKU: "A", Quantity: 10}}, Delivery: &Delivery{Address: hangzhou}}
	free, err := shop().Compute(in, noon)
	if err != nil || free.Freight != 0 {
		t.Fatalf("goods of 10000: %v, %v", free, err)
	}
	in.CouponIDs = []uuid.UUID{{1}}
	paid, err := shop().Compute(in, noon)
	if err != nil || paid.Freight != 800+5*101 {
		t.Fatalf("goods of 9500 after discount: %v, %v", paid, err)
	}
	// A coupon for the freight together with one that makes that there is freight at all.
	in.CouponIDs = []uuid.UUID{{1}, {2}}
	both, err := shop().Compute(in, noon)
	if err != nil || both.Freight != 800+5*101-700 {
		t.Fatalf("with both coupons: %v, %v", both, err)
	}
}

func TestWithoutADelivery(t *testing.T) {
	f := shop()
	f.freight, f.addresses = nil, nil
	got, err := f.Compute(Input{BuyerID: buyer, Lines: []Line{{SKU: "A", Quantity: 1}}}, noon)
	if err != nil || got.Total != 1000 || got.Address != nil || len(got.Deliveries) != 0 || got.DeliveryMethod != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRefusals(t *testing.T) {
	line := func(sku string) []Line { return []Line{{SKU: sku, Quantity: 1}} }
	tests := []struct {
		name string
		in   Input
		want string
		meta map[string]string
	}{
		{name: "no such SKU", in: Input{Lines: line("NONE")}, want: "SKU_NOT_FOUND", meta: map[string]string{"sku": "NONE"}},
		{name: "not on sale", in: Input{Lines: line("OFF")}, want: "SKU_NOT_ON_SALE", meta: map[string]string{"sku": "OFF"}},
		{
			name: "two currencies",
			in:   Input{Lines: append(line("A"), line("USD")...)},
			want: "CURRENCY_MISMATCH",
			meta: map[string]string{"sku": "USD"},
		},
		{name: "too much money", in: Input{Lines: []Line{{SKU: "HUGE", Quantity: 3}}}, want: "AMOUNT_TOO_LARGE"},
		{
			name: "too much money in all",
			in:   Input{Lines: append(line("A"), Line{SKU: "HUGE", Quantity: 2})},
			want: "AMOUNT_TOO_LARGE",
		},
		{
			name: "too much weight",
			in:   Input{Lines: []Line{{SKU: "HEAVY", Quantity: 3}}, Delivery: &Delivery{Address: hangzhou}},
			want: "AMOUNT_TOO_LARGE",
		},
		{
			name: "no such address",
			in:   Input{Lines: line("A"), Delivery: &Delivery{AddressID: uuid.UUID{7}}},
			want: "ADDRESS_NOT_FOUND",
		},
		{
			name: "another's address",
			in:   Input{BuyerID: "bob", Lines: line("A"), Delivery: &Delivery{AddressID: uuid.UUID{1}}},
			want: "ADDRESS_NOT_FOUND",
		},
		{
			name: "no such method",
			in:   Input{Lines: line("A"), Delivery: &Delivery{Address: hangzhou, Method: "drone"}},
			want: "DELIVERY_METHOD_UNKNOWN",
			meta: map[string]string{"method": "drone"},
		},
		{
			name: "not delivered there by this method",
			in:   Input{Lines: line("A"), Delivery: &Delivery{Address: lhasa, Method: "standard"}},
			want: "UNDELIVERABLE",
			meta: map[string]string{"country": "CN", "region": "Tibet", "method": "standard"},
		},
		{
			name: "not delivered there by any",
			in:   Input{Lines: line("A"), Delivery: &Delivery{Address: &addressv1.Address{Country: "DE"}}},
			want: "UNDELIVERABLE",
			meta: map[string]string{"country": "DE", "region": "", "method": ""},
		},
		{
			name: "freight in another currency",
			in:   Input{Lines: line("A"), Delivery: &Delivery{Address: hangzhou, Method: "abroad"}},
			want: "CURRENCY_MISMATCH",
			meta: map[string]string{"method": "abroad"},
		},
		{
			name: "another's coupon", in: Input{BuyerID: buyer, Lines: line("A"), CouponIDs: []uuid.UUID{{9}}},
			want: "COUPON_UNUSABLE", meta: map[string]string{"coupon_id": uuid.UUID{9}.String(), "why": "NOT_FOUND"},
		},
		{
			name: "a coupon for freight without freight",
			in:   Input{BuyerID: buyer, Lines: line("A"), CouponIDs: []uuid.UUID{{2}}},
			want: "COUPON_UNUSABLE",
			meta: map[string]string{"coupon_id": uuid.UUID{2}.String(), "why": "NO_FREIGHT"},
		},
		{
			name: "a coupon for freight that is free",
			in: Input{
				BuyerID:   buyer,
				Lines:     []Line{{SKU: "A", Quantity: 10}},
				Delivery:  &Delivery{Address: hangzhou},
				CouponIDs: []uuid.UUID{{2}},
			},
			want: "COUPON_UNUSABLE",
			meta: map[string]string{"coupon_id": uuid.UUID{2}.String(), "why": "NO_FREIGHT"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q, err := shop().Compute(tt.in, noon)
			if q != nil || rpcerr.Reason(err) != tt.want {
				t.Fatalf("got %+v, %v, want %s", q, err, tt.want)
			}
			if diff := cmp.Diff(tt.meta, rpcerr.Metadata(err), cmpopts.EquateEmpty()); tt.meta != nil && diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
		})
	}
	// Without a method named, the first that delivers there is taken.
	q, err := shop().Compute(Input{Lines: line("A"), Delivery: &Delivery{Address: lhasa}}, noon)
	if err != nil || q.DeliveryMethod != "express" || len(q.Deliveries) != 1 {
		t.Errorf("to Tibet: %+v, %v", q, err)
	}
}

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
