package quote_test

import (
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	"google.golang.org/protobuf/proto"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	cartv1 "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	taxv1 "github.com/orderd-dev/orderd/api/gen/orderd/tax/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func tea(price int64) *catalogv1.Sku {
	return &catalogv1.Sku{
		Sku:         "TEA",
		Title:       "Tea",
		Price:       cny(price),
		OnSale:      true,
		WeightGrams: 300,
		TaxClass:    "food",
		Category:    "tea",
	}
}

func cup() *catalogv1.Sku {
	return &catalogv1.Sku{
		Sku:         "CUP",
		Title:       "Cup",
		Price:       cny(1999),
		OnSale:      true,
		WeightGrams: 700,
		TaxClass:    "goods",
		Category:    "ware",
	}
}

func cny(amount int64) *moneyv1.Money { return &moneyv1.Money{Amount: amount, Currency: "CNY"} }

// byWeight is 8.00 for a kilo and 2.00 for each further half, free from 99.00.
func byWeight() *freightv1.FreightTemplate {
	return &freightv1.FreightTemplate{
		Name: "by-weight", Currency: "CNY", ChargeBy: freightv1.ChargeBy_CHARGE_BY_WEIGHT,
		Rules: []*freightv1.FreightRule{
			{
				Country:          "CN",
				FirstUnits:       1000,
				FirstCharge:      800,
				AdditionalUnits:  500,
				AdditionalCharge: 200,
				FreeFrom:         proto.Int64(9900),
			},
			{
				Country:          "CN",
				Region:           "Xinjiang",
				FirstUnits:       1000,
				FirstCharge:      2500,
				AdditionalUnits:  500,
				AdditionalCharge: 1000,
			},
			{Country: "CN", Region: "Tibet", NotDeliverable: true},
		},
	}
}

// stocked is a world with tea and cups, their taxes and one delivery method.
func stocked() *world {
	w := newWorld()
	staff := w.staff()
	for name, rate := range map[string]int64{"food": 900, "goods": 1300} {
		must(staff.taxes.UpsertTaxClass(ctx(), &taxv1.UpsertTaxClassRequest{
			RequestId: w.request(), TaxClass: &taxv1.TaxClass{Name: name, Title: name, RateBasisPoints: rate},
		}))
	}
	for _, sku := range []*catalogv1.Sku{tea(1000), cup()} {
		w.sell(sku)
		must(
			staff.catalog.AdjustStock(ctx(),
				&catalogv1.AdjustStockRequest{RequestId: w.request(), Sku: sku.GetSku(), Delta: 1000}),
		)
	}
	w.charge(byWeight())
	must(staff.freight.UpsertDeliveryMethod(ctx(), &freightv1.UpsertDeliveryMethodRequest{
		RequestId: w.request(), Method: &freightv1.DeliveryMethod{Name: "standard", Title: "Standard", Template: "by-weight"},
	}))
	return w
}

func (w *world) sell(sku *catalogv1.Sku) {
	must(w.staff().catalog.UpsertSku(ctx(), &catalogv1.UpsertSkuRequest{RequestId: w.request(), Sku: sku}))
}

func (w *world) charge(template *freightv1.FreightTemplate) {
	must(
		w.staff().freight.UpsertFreightTemplate(ctx(),
			&freightv1.UpsertFreightTemplateRequest{RequestId: w.request(), Template: template}),
	)
}

func to(region string) *quotev1.Delivery {
	return &quotev1.Delivery{Address: home(region)}
}

func home(region string) *addressv1.Address {
	return &addressv1.Address{
		Recipient: "Ann",
		Phone:     "+86 571 12345",
		Country:   "CN",
		Region:    region,
		City:      "City",
		Street:    "Street 1",
	}
}

func lines(quantities map[string]int64) []*quotev1.SelectedLine {
	var out []*quotev1.SelectedLine
	for _, sku := range []string{"TEA", "CUP", "USD"} {
		if n := quantities[sku]; n > 0 {
			out = append(out, &quotev1.SelectedLine{Sku: sku, Quantity: n})
		}
	}
	return out
}

func (w *world) add(c *caller, sku string, quantity int64) {
	must(c.cart.AddCartLine(ctx(), &cartv1.AddCartLineRequest{RequestId: w.request(), Sku: sku, Quantity: quantity}))
}

// inCart is the quantities in a caller's cart.
func inCart(c *caller) map[string]int64 {
	out := map[string]int64{}
	for _, l := range must(c.cart.GetCart(ctx(), &cartv1.GetCartRequest{})).GetLines() {
		out[l.GetItem().GetSku()] = l.GetItem().GetQuantity()
	}
	return out
}

func (w *world) place(c *caller, token string) (*orderv1.Order, error) {
	answer, err := c.orders.PlaceOrder(ctx(), &orderv1.PlaceOrderRequest{RequestId: w.request(), QuoteToken: token})
	return answer.GetOrder(), err
}

func refusedAs(reason string) types.GomegaMatcher {
	return WithTransform(rpcerr.Reason, Equal(reason))
}
