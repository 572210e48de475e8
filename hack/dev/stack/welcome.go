package stack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	freightv1 "github.com/orderd-dev/orderd/api/gen/orderd/freight/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/freight/v1/freightv1connect"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/orderd/sim/localnats"
)

// What the shop is called.
const (
	cluster  = "shop/dev"
	audience = "shop"
	carrier  = "swift"
	currency = "CNY"
	method   = "standard"
)

// filled marks that the catalog was filled: what a developer changes of it stays.
const filled = "filled"

// goods are what the shop has at first: those of config/samples, and tea.
var goods = []struct {
	sku, title string
	price      int64
	stock      int64
}{
	{"tea-1", "Green tea", 1999, 10_000},
	{"phone-x", "Phone X", 239900, 10_000},
	{"earbuds-pro", "Earbuds Pro", 49900, 10_000},
	{"phone-case", "Phone case", 2900, 10_000},
}

// fill puts goods and a delivery method that costs nothing into a shop that is new. Done twice it
// changes nothing.
func (s *stack) fill(ctx context.Context) error {
	tokens, err := issuer.Ask(ctx, s.issuer(), []issuer.Claim{{Subject: "dev", Roles: []string{"catalog", "marketing"}}})
	if err != nil {
		return err
	}
	client := connect.NewClient(
		connecthttp.NewTransport(http.DefaultClient, "http://"+s.ports.standard()), issuer.Bearer(tokens[0]))
	catalog, freight := catalogv1connect.NewCatalogServiceClient(client), freightv1connect.NewFreightServiceClient(client)
	// The folder may have been filled with another database.
	there, err := catalog.ListSkus(ctx, &catalogv1.ListSkusRequest{})
	if err != nil {
		return err
	}
	if s.Home.Has(filled) && len(there.GetSkus()) > 0 {
		return nil
	}
	for _, g := range goods {
		_, err := catalog.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
			Sku: g.sku, Title: g.title, OnSale: true, Price: &moneyv1.Money{Amount: g.price, Currency: currency},
		}})
		if err != nil {
			return fmt.Errorf("SKU %s: %w", g.sku, err)
		}
		_, err = catalog.AdjustStock(ctx, &catalogv1.AdjustStockRequest{
			RequestId: "fill-" + g.sku, Sku: g.sku, Delta: g.stock,
		})
		if err != nil {
			return fmt.Errorf("stock of %s: %w", g.sku, err)
		}
	}
	_, err = freight.UpsertFreightTemplate(ctx, &freightv1.UpsertFreightTemplateRequest{
		RequestId: "fill-template", Template: &freightv1.FreightTemplate{
			Name: method, Currency: currency, ChargeBy: freightv1.ChargeBy_CHARGE_BY_PIECE,
			Rules: []*freightv1.FreightRule{{}},
		},
	})
	if err != nil {
		return fmt.Errorf("freight template: %w", err)
	}
	_, err = freight.UpsertDeliveryMethod(ctx, &freightv1.UpsertDeliveryMethodRequest{
		RequestId: "fill-method", Method: &freightv1.DeliveryMethod{
			Name: method, Title: "Standard delivery", Template: method,
		},
	})
	if err != nil {
		return fmt.Errorf("delivery method: %w", err)
	}
	return s.Home.Mark(filled)
}

// welcome says where everything is, and three calls that work.
func (s *stack) welcome(ctx context.Context) error {
	tokens, err := issuer.Ask(ctx, s.issuer(), []issuer.Claim{{Subject: "alice", Roles: []string{"buyer"}}})
	if err != nil {
		return err
	}
	dsn, err := url.Parse(s.dsn)
	if err != nil {
		return fmt.Errorf("the database's URL: %w", err)
	}
	shop := "http://" + s.ports.standard()
	s.say("orderd is ready after %.1f s. Ctrl-C stops it; its data stay in %s, and -reset forgets them.\n",
		time.Since(s.began).Seconds(), s.Home.Dir)
	for _, line := range []struct{ what, where string }{
		{"catalog, orders, payments, …", shop},
		{"flash lane", "http://" + s.ports.flash()},
		{"tokens, carrier, pushes", s.issuer() + "  POST /tokens, GET /control/parcels, GET /push/taken"},
		{"NATS", localnats.URL(s.ports.nats())},
		{"database", dsn.Redacted() + "  (" + s.database + ")"},
		{"what the pods say", s.Home.Path(logFile)},
	} {
		s.say("  %-30s%s", line.what, line.where)
	}
	s.say("\nA token of the buyer alice, for a day, and three calls:\n\nexport TOKEN=%s", tokens[0])
	for _, call := range []struct{ rpc, body string }{
		{"catalog.v1.CatalogService/ListSkus", `{}`},
		{"order.v1.OrderService/PlaceOrder", `{"requestId": "first", "lines": [{"sku": "tea-1", "quantity": 2}]}`},
		{"order.v1.OrderService/ListOrders", `{}`},
	} {
		s.say(`curl -s %s/orderd.%s -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '%s'`,
			shop, call.rpc, call.body)
	}
	s.say("")
	return nil
}
