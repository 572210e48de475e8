package quote_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	taxv1 "github.com/orderd-dev/orderd/api/gen/orderd/tax/v1"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/freight"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/tax"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

const benchSKUs = 1000

// benchShop has a thousand SKUs, three delivery methods and a rule for each of thirty regions.
func benchShop(b *testing.B) *pgxpool.Pool {
	b.Helper()
	ctx := context.Background()
	pool := testdb.NewPool(b)
	_, err := tax.NewService(tax.Options{Pool: pool, Clock: time.Now}).UpsertTaxClass(ctx, &taxv1.UpsertTaxClassRequest{
		RequestId: "t",
		TaxClass:  &taxv1.TaxClass{Name: "goods", Title: "Goods", RateBasisPoints: 1300},
	})
	if err != nil {
		b.Fatal(err)
	}
	goods := catalog.NewService(catalog.Options{Pool: pool, Clock: time.Now})
	for i := range benchSKUs {
		_, err := goods.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
			Sku:         fmt.Sprintf("SKU-%d", i),
			Title:       "A title of usual length",
			Price:       &moneyv1.Money{Amount: 1000, Currency: "CNY"},
			OnSale:      true,
			WeightGrams: 300,
			TaxClass:    "goods",
		}})
		if err != nil {
			b.Fatal(err)
		}
	}
	shipping := freight.NewService(freight.Options{Pool: pool, Clock: time.Now})
	for i := range 3 {
		name := fmt.Sprintf("m%d", i)
		template := &freightv1.FreightTemplate{
			Name:     name,
			Currency: "CNY",
			ChargeBy: freightv1.ChargeBy_CHARGE_BY_WEIGHT,
			Rules:    []*freightv1.FreightRule{{FirstCharge: 9000}},
		}
		for r := range 30 {
			template.Rules = append(template.Rules,
				&freightv1.FreightRule{Country: "CN", Region: fmt.Sprintf("Region %d", r), FirstUnits: 1000, FirstCharge: 800})
		}
		if _, err := shipping.UpsertFreightTemplate(ctx,
			&freightv1.UpsertFreightTemplateRequest{RequestId: "t" + name, Template: template}); err != nil {
			b.Fatal(err)
		}
		_, err := shipping.UpsertDeliveryMethod(ctx, &freightv1.UpsertDeliveryMethodRequest{
			RequestId: "m" + name,
			Method:    &freightv1.DeliveryMethod{Name: name, Title: name, Template: name},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return pool
}

// BenchmarkPricing is what a transaction that places so many orders of two lines
// spends on their prices.
func BenchmarkPricing(b *testing.B) {
	pool := benchShop(b)
	now := time.Now()
	for _, n := range []int{1, 16, 128} {
		inputs := make([]quote.Input, n)
		for i := range inputs {
			inputs[i] = quote.Input{
				BuyerID: fmt.Sprintf("buyer-%d", i),
				Lines: []quote.Line{
					{SKU: fmt.Sprintf("SKU-%d", i), Quantity: 1},
					{SKU: fmt.Sprintf("SKU-%d", i+200), Quantity: 2},
				},
				Delivery: &quote.Delivery{Address: &addressv1.Address{Country: "CN", Region: "Region 7"}},
			}
		}
		b.Run(fmt.Sprintf("orders=%d", n), func(b *testing.B) {
			for b.Loop() {
				facts, err := quote.Load(context.Background(), pool, inputs)
				if err != nil {
					b.Fatal(err)
				}
				for _, in := range inputs {
					if _, err := facts.Compute(in, now); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/order")
		})
	}
}

// BenchmarkQuoteOrder is the whole handler, for one caller after the other.
func BenchmarkQuoteOrder(b *testing.B) {
	pool := benchShop(b)
	tokens, err := quote.NewTokens([]byte("0123456789abcdef"), time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	service := quote.NewService(quote.Options{Pool: pool, Tokens: tokens, Clock: time.Now})
	req := &quotev1.QuoteOrderRequest{
		BuyerId: "ann", Lines: []*quotev1.SelectedLine{{Sku: "SKU-1", Quantity: 1}, {Sku: "SKU-2", Quantity: 2}},
		Delivery: &quotev1.Delivery{Address: &addressv1.Address{Country: "CN", Region: "Region 7"}},
	}
	for b.Loop() {
		if _, err := service.QuoteOrder(context.Background(), req); err != nil {
			b.Fatal(err)
		}
	}
}
