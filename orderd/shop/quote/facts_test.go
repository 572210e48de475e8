package quote

import (
	"math"
	"time"

	"github.com/google/uuid"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
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
