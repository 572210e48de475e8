package order_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/freight"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
)

// The limits of the API's requests.
const (
	maxAmount   = 1_000_000_000_000
	maxGrams    = 1_000_000
	maxQuantity = 9999
)

// checkout is a shop with the services by which a buyer chooses a delivery, and its staff what
// there is to choose from.
type checkout struct {
	*shop

	quotes  *quote.Service
	freight *freight.Service
}

func newCheckout(t testing.TB) *checkout {
	t.Helper()
	s := newShop(t)
	if _, err := s.pool.Exec(context.Background(), "DELETE FROM delivery_methods"); err != nil {
		t.Fatal(err)
	}
	return &checkout{
		shop:    s,
		quotes:  quote.NewService(quote.Options{Pool: s.pool, Tokens: s.tokens, Clock: s.clock}),
		freight: freight.NewService(freight.Options{Pool: s.pool, Clock: s.clock}),
	}
}

// offered is the shop's only delivery methods from now on, each with a template of its own.
func (c *checkout) offered(t fataler, templates ...*freightv1.FreightTemplate) {
	t.Helper()
	ctx := context.Background()
	if _, err := c.pool.Exec(ctx, "DELETE FROM delivery_methods"); err != nil {
		t.Fatal(err)
	}
	for i, template := range templates {
		_, err := c.freight.UpsertFreightTemplate(ctx, &freightv1.UpsertFreightTemplateRequest{
			RequestId: uuid.NewString(), Template: template,
		})
		if err != nil {
			t.Fatal(err)
		}
		method := &freightv1.DeliveryMethod{
			Name: template.GetName(), Title: template.GetName(), Template: template.GetName(), Position: int32(i),
		}
		_, err = c.freight.UpsertDeliveryMethod(ctx,
			&freightv1.UpsertDeliveryMethodRequest{RequestId: uuid.NewString(), Method: method})
		if err != nil {
			t.Fatal(err)
		}
	}
}

type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// goods are one SKU with so many units of it.
type goods struct{ price, grams, quantity int64 }

// placed is an order without a delivery of new SKUs. A promotion's order has its freight in its
// price, so that any delivery's will do.
func (c *checkout) placed(t fataler, promotion bool, wanted []goods) *orderv1.Order {
	t.Helper()
	ctx := context.Background()
	req := &orderv1.PlaceOrderRequest{RequestId: uuid.NewString(), BuyerId: "ann"}
	for _, g := range wanted {
		c.shops++
		sku := fmt.Sprint("choice", c.shops)
		if err := c.stocked(sku, g.quantity); err != nil {
			t.Fatal(err)
		}
		_, err := c.pool.Exec(ctx, "UPDATE skus SET unit_price = $2, weight_grams = $3 WHERE sku = $1", sku, g.price, g.grams)
		if err != nil {
			t.Fatal(err)
		}
		req.Lines = append(req.Lines, line(sku, g.quantity))
	}
	answer, err := c.service.PlaceOrder(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if promotion {
		id := answer.GetOrder().GetOrderId()
		if _, err := c.pool.Exec(ctx, "UPDATE orders SET promotion_uid = 'p' WHERE order_id = $1", id); err != nil {
			t.Fatal(err)
		}
	}
	return answer.GetOrder()
}

// choice is what a buyer is answered: a method and its freight, or why there is none.
type choice struct {
	Method  string
	Freight int64
	Code    connect.Code
	Reason  string
	// Metadata of the reason.
	Metadata map[string]string
}

func refusal(err error) choice {
	return choice{Code: connect.CodeOf(err), Reason: rpcerr.Reason(err), Metadata: rpcerr.Metadata(err)}
}

// quoted is the delivery that a quote of the order's goods chooses.
func (c *checkout) quoted(o *orderv1.Order, to *addressv1.Address, method string) choice {
	req := &quotev1.QuoteOrderRequest{BuyerId: o.GetBuyerId(), Delivery: &quotev1.Delivery{Address: to, Method: method}}
	for _, l := range o.GetLines() {
		req.Lines = append(req.Lines, &quotev1.SelectedLine{Sku: l.GetSku(), Quantity: l.GetQuantity()})
	}
	answer, err := c.quotes.QuoteOrder(context.Background(), req)
	if err != nil {
		return refusal(err)
	}
	return choice{Method: answer.GetQuote().GetDeliveryMethod(), Freight: answer.GetQuote().GetFreight().GetAmount()}
}

// set is the delivery that the order has got; its freight is not part of the answer.
func (c *checkout) set(o *orderv1.Order, to *addressv1.Address, method string) choice {
	answer, err := c.service.SetDelivery(context.Background(), &orderv1.SetDeliveryRequest{
		RequestId: uuid.NewString(),
		BuyerId:   o.GetBuyerId(),
		OrderId:   o.GetOrderId(),
		Delivery:  &quotev1.Delivery{Address: to, Method: method},
	})
	if err != nil {
		return refusal(err)
	}
	return choice{Method: answer.GetOrder().GetDeliveryMethod()}
}

func template(
	name, currency string, by freightv1.ChargeBy, rules ...*freightv1.FreightRule,
) *freightv1.FreightTemplate {
	return &freightv1.FreightTemplate{Name: name, Currency: currency, ChargeBy: by, Rules: rules}
}

// deliveryCase is what a shop offers, and what a buyer of the goods is answered.
type deliveryCase struct {
	name      string
	templates []*freightv1.FreightTemplate
	goods     goods
	method    string
	want      choice
}

func deliveryCases() []deliveryCase {
	const byValue, byWeight = freightv1.ChargeBy_CHARGE_BY_ORDER_VALUE, freightv1.ChargeBy_CHARGE_BY_WEIGHT
	dear := &freightv1.FreightRule{AdditionalUnits: 1, AdditionalCharge: maxAmount}
	heaviest := template("heavy", "CNY", byWeight, &freightv1.FreightRule{AdditionalUnits: maxAmount, AdditionalCharge: 1})
	usual := goods{price: 100, grams: 1, quantity: 2}
	return []deliveryCase{
		{
			name: "a freight in another currency", goods: usual, method: "usd",
			templates: []*freightv1.FreightTemplate{template("usd", "USD", byValue, &freightv1.FreightRule{})},
			want: choice{
				Code: connect.CodeFailedPrecondition, Reason: "CURRENCY_MISMATCH", Metadata: map[string]string{"method": "usd"},
			},
		},
		{
			name: "a freight that does not fit", goods: goods{price: maxAmount, quantity: maxQuantity}, method: "dear",
			templates: []*freightv1.FreightTemplate{template("dear", "CNY", byValue, dear)},
			want:      choice{Code: connect.CodeInvalidArgument, Reason: "AMOUNT_TOO_LARGE"},
		},
		{
			name:      "a freight that just fits",
			goods:     goods{price: 1, grams: math.MaxInt64 / maxAmount, quantity: 1},
			method:    "dear",
			templates: []*freightv1.FreightTemplate{template("dear", "CNY", byWeight, dear)},
			want:      choice{Method: "dear", Freight: math.MaxInt64 / maxAmount * maxAmount},
		},
		{
			name: "a freight that just fits, but not with the goods", method: "dear",
			goods:     goods{price: maxAmount, grams: math.MaxInt64 / maxAmount, quantity: 1},
			templates: []*freightv1.FreightTemplate{template("dear", "CNY", byWeight, dear)},
			want:      choice{Code: connect.CodeInvalidArgument, Reason: "AMOUNT_TOO_LARGE"},
		},
		{
			name: "a weight that does not fit", goods: goods{price: 1, grams: math.MaxInt64/2 + 1, quantity: 2}, method: "heavy",
			templates: []*freightv1.FreightTemplate{heaviest},
			want:      choice{Code: connect.CodeInvalidArgument, Reason: "AMOUNT_TOO_LARGE"},
		},
		{
			name: "a weight that does not fit, and no method", goods: goods{price: 1, grams: math.MaxInt64/2 + 1, quantity: 2},
			templates: []*freightv1.FreightTemplate{heaviest},
			want:      choice{Code: connect.CodeInvalidArgument, Reason: "AMOUNT_TOO_LARGE"},
		},
		{
			name: "another currency's and one that fits", goods: usual,
			templates: []*freightv1.FreightTemplate{
				template("usd", "USD", byValue, &freightv1.FreightRule{}),
				template("cny", "CNY", byValue, &freightv1.FreightRule{FirstCharge: 7}),
			},
			want: choice{Method: "cny", Freight: 7},
		},
		{
			name: "nothing that fits", goods: usual,
			templates: []*freightv1.FreightTemplate{template("usd", "USD", byValue, &freightv1.FreightRule{})},
			want: choice{
				Code: connect.CodeFailedPrecondition, Reason: "UNDELIVERABLE",
				Metadata: map[string]string{"country": "CN", "region": "Hunan", "method": ""},
			},
		},
	}
}

// What a buyer was answered differently by the quote and by SetDelivery, while each
// had a rule of its own.
func TestADeliveryIsChosenOnce(t *testing.T) {
	c := newCheckout(t)
	for _, tt := range deliveryCases() {
		t.Run(tt.name, func(t *testing.T) {
			c.offered(t, tt.templates...)
			o := c.placed(t, true, []goods{tt.goods})
			if diff := cmp.Diff(tt.want, c.quoted(o, home("Hunan"), tt.method)); diff != "" {
				t.Errorf("QuoteOrder (-want +got):\n%s", diff)
			}
			tt.want.Freight = 0
			if diff := cmp.Diff(tt.want, c.set(o, home("Hunan"), tt.method)); diff != "" {
				t.Errorf("SetDelivery (-want +got):\n%s", diff)
			}
		})
	}
}

// The quote of an order's goods and SetDelivery choose the same delivery or refuse it for the same
// reason, whatever the shop offers. Besides, SetDelivery refuses a freight that is not what the
// order was placed with.
func TestQuoteAndSetDeliveryAnswerTheSame(t *testing.T) {
	c := newCheckout(t)
	rapid.Check(t, func(t *rapid.T) {
		var templates []*freightv1.FreightTemplate
		for i := range rapid.IntRange(0, 3).Draw(t, "methods") {
			templates = append(templates, drawTemplate(t, fmt.Sprint("m", i)))
		}
		c.offered(t, templates...)
		promotion := rapid.Bool().Draw(t, "promotion's")
		o := c.placed(t, promotion, drawGoods(t))
		// agreed is the freight of where the goods go so far; orders without a delivery have none.
		agreed := int64(0)
		for range rapid.IntRange(1, 3).Draw(t, "deliveries") {
			to := home(rapid.SampledFrom([]string{"Hunan", "Tibet", " tibet"}).Draw(t, "region"))
			to.Country = rapid.SampledFrom([]string{"CN", "DE"}).Draw(t, "country")
			method := rapid.SampledFrom([]string{"", "m0", "m1", "m2"}).Draw(t, "method")
			want := c.quoted(o, to, method)
			charge := want.Freight
			switch {
			case want.Reason != "" || promotion:
			case charge != 0 && charge != agreed:
				want = choice{
					Code:     connect.CodeFailedPrecondition,
					Reason:   "FREIGHT_DIFFERS",
					Metadata: map[string]string{"method": want.Method},
				}
			default:
				agreed = charge
			}
			want.Freight = 0
			if diff := cmp.Diff(want, c.set(o, to, method)); diff != "" {
				t.Fatalf("%s to %s %q: QuoteOrder's choice and SetDelivery's (-want +got):\n%s", method, to.GetCountry(),
					to.GetRegion(), diff)
			}
		}
	})
}

// drawGoods are goods of up to the API's limits, whose sum fits, because no others can be ordered.
func drawGoods(t *rapid.T) []goods {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) goods {
		return goods{
			price:    rapid.OneOf(rapid.Int64Range(1, 1000), rapid.Int64Range(1, maxAmount)).Draw(t, "price"),
			grams:    rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, maxGrams)).Draw(t, "grams"),
			quantity: rapid.OneOf(rapid.Int64Range(1, 3), rapid.Int64Range(1, maxQuantity)).Draw(t, "quantity"),
		}
	}), 1, 3).Draw(t, "goods")
}

func drawTemplate(t *rapid.T, name string) *freightv1.FreightTemplate {
	out := template(name, rapid.SampledFrom([]string{"CNY", "CNY", "USD"}).Draw(t, "currency"),
		freightv1.ChargeBy(rapid.IntRange(1, 3).Draw(t, "charge by")))
	for _, place := range [][2]string{{"", ""}, {"CN", ""}, {"CN", "Tibet"}} {
		if !rapid.Bool().Draw(t, "rule") {
			continue
		}
		rule := &freightv1.FreightRule{
			Country: place[0], Region: place[1], NotDeliverable: rapid.IntRange(0, 3).Draw(t, "not deliverable") == 0,
			FirstUnits: drawAmount(t, "first units"), FirstCharge: drawAmount(t, "first charge"),
			AdditionalUnits: drawAmount(t, "additional units"), AdditionalCharge: drawAmount(t, "additional charge"),
		}
		if rapid.Bool().Draw(t, "free") {
			from := drawAmount(t, "free from")
			rule.FreeFrom = &from
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

func drawAmount(t *rapid.T, what string) int64 {
	return rapid.OneOf(rapid.Int64Range(0, 2), rapid.Int64Range(0, maxAmount)).Draw(t, what)
}
