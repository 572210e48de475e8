package quote

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/address"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/freight"
	"github.com/orderd-dev/orderd/orderd/shop/tax"
)

// Facts are what quotes are computed from, as they were when they were read.
type Facts struct {
	skus map[string]catalog.SKU
	// rates are in basis points, by tax class.
	rates     map[string]int64
	addresses map[address.Key]*addressv1.Address
	// freight is nil if no input has a delivery.
	freight *freight.Book
	// coupons by buyer.
	coupons map[string][]coupon.Coupon
}

// Load reads the facts for any number of inputs: one query for the SKUs and, where an input needs
// them, one each for tax classes, saved addresses, delivery methods and coupons. It takes no locks.
func Load(ctx context.Context, q database.Querier, inputs []Input) (*Facts, error) {
	f := &Facts{}
	var err error
	if f.skus, err = catalog.Find(ctx, q, codesOf(inputs)); err != nil {
		return nil, err
	}
	if f.rates, err = tax.Rates(ctx, q, classesOf(f.skus)); err != nil {
		return nil, err
	}
	if err := f.loadDeliveries(ctx, q, inputs); err != nil {
		return nil, err
	}
	return f, f.loadCoupons(ctx, q, inputs)
}

func codesOf(inputs []Input) []string {
	codes := map[string]bool{}
	for _, in := range inputs {
		for _, l := range in.Lines {
			codes[l.SKU] = true
		}
	}
	return slices.Sorted(maps.Keys(codes))
}

func classesOf(skus map[string]catalog.SKU) []string {
	classes := map[string]bool{}
	for _, s := range skus {
		if s.TaxClass != "" {
			classes[s.TaxClass] = true
		}
	}
	return slices.Sorted(maps.Keys(classes))
}

func (f *Facts) loadDeliveries(ctx context.Context, q database.Querier, inputs []Input) error {
	var keys []address.Key
	countries := map[string]bool{}
	any := false
	for _, in := range inputs {
		switch d := in.Delivery; {
		case d == nil:
			continue
		case d.Address != nil:
			countries[d.Address.GetCountry()] = true
		default:
			keys = append(keys, address.Key{BuyerID: in.BuyerID, ID: d.AddressID})
		}
		any = true
	}
	if !any {
		return nil
	}
	var err error
	if f.addresses, err = address.Find(ctx, q, keys); err != nil {
		return err
	}
	for _, a := range f.addresses {
		countries[a.GetCountry()] = true
	}
	f.freight, err = freight.LoadBook(ctx, q, slices.Sorted(maps.Keys(countries)))
	return err
}

func (f *Facts) loadCoupons(ctx context.Context, q database.Querier, inputs []Input) error {
	var buyers []string
	var ids []uuid.UUID
	for _, in := range inputs {
		if in.AllCoupons {
			buyers = append(buyers, in.BuyerID)
		}
		ids = append(ids, in.CouponIDs...)
	}
	var err error
	f.coupons, err = coupon.Load(ctx, q, buyers, ids)
	return err
}
