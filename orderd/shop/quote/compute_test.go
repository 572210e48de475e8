package quote

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

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

func oneOf(sku string) []Line { return []Line{{SKU: sku, Quantity: 1}} }

// refusals are selections that have no quote, and why.
var refusals = []struct {
	name string
	in   Input
	want string
	meta map[string]string
}{
	{name: "no such SKU", in: Input{Lines: oneOf("NONE")}, want: "SKU_NOT_FOUND", meta: map[string]string{"sku": "NONE"}},
	{name: "not on sale", in: Input{Lines: oneOf("OFF")}, want: "SKU_NOT_ON_SALE", meta: map[string]string{"sku": "OFF"}},
	{
		name: "two currencies",
		in:   Input{Lines: append(oneOf("A"), oneOf("USD")...)},
		want: "CURRENCY_MISMATCH",
		meta: map[string]string{"sku": "USD"},
	},
	{name: "too much money", in: Input{Lines: []Line{{SKU: "HUGE", Quantity: 3}}}, want: "AMOUNT_TOO_LARGE"},
	{
		name: "too much money in all",
		in:   Input{Lines: append(oneOf("A"), Line{SKU: "HUGE", Quantity: 2})},
		want: "AMOUNT_TOO_LARGE",
	},
	{
		name: "too much weight",
		in:   Input{Lines: []Line{{SKU: "HEAVY", Quantity: 3}}, Delivery: &Delivery{Address: hangzhou}},
		want: "AMOUNT_TOO_LARGE",
	},
	{
		name: "no such address",
		in:   Input{Lines: oneOf("A"), Delivery: &Delivery{AddressID: uuid.UUID{7}}},
		want: "ADDRESS_NOT_FOUND",
	},
	{
		name: "another's address",
		in:   Input{BuyerID: "bob", Lines: oneOf("A"), Delivery: &Delivery{AddressID: uuid.UUID{1}}},
		want: "ADDRESS_NOT_FOUND",
	},
	{
		name: "no such method",
		in:   Input{Lines: oneOf("A"), Delivery: &Delivery{Address: hangzhou, Method: "drone"}},
		want: "DELIVERY_METHOD_UNKNOWN",
		meta: map[string]string{"method": "drone"},
	},
	{
		name: "not delivered there by this method",
		in:   Input{Lines: oneOf("A"), Delivery: &Delivery{Address: lhasa, Method: "standard"}},
		want: "UNDELIVERABLE",
		meta: map[string]string{"country": "CN", "region": "Tibet", "method": "standard"},
	},
	{
		name: "not delivered there by any",
		in:   Input{Lines: oneOf("A"), Delivery: &Delivery{Address: &addressv1.Address{Country: "DE"}}},
		want: "UNDELIVERABLE",
		meta: map[string]string{"country": "DE", "region": "", "method": ""},
	},
	{
		name: "freight in another currency",
		in:   Input{Lines: oneOf("A"), Delivery: &Delivery{Address: hangzhou, Method: "abroad"}},
		want: "CURRENCY_MISMATCH",
		meta: map[string]string{"method": "abroad"},
	},
	{
		name: "another's coupon", in: Input{BuyerID: buyer, Lines: oneOf("A"), CouponIDs: []uuid.UUID{{9}}},
		want: "COUPON_UNUSABLE", meta: map[string]string{"coupon_id": uuid.UUID{9}.String(), "why": "NOT_FOUND"},
	},
	{
		name: "a coupon for freight without freight",
		in:   Input{BuyerID: buyer, Lines: oneOf("A"), CouponIDs: []uuid.UUID{{2}}},
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

func TestRefusals(t *testing.T) {
	for _, tt := range refusals {
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
	q, err := shop().Compute(Input{Lines: oneOf("A"), Delivery: &Delivery{Address: lhasa}}, noon)
	if err != nil || q.DeliveryMethod != "express" || len(q.Deliveries) != 1 {
		t.Errorf("to Tibet: %+v, %v", q, err)
	}
}
