// Command journey buys tea as an app does, from the catalog to an order that is paid. The shop can be
// the one of `go run ./hack/dev`.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/google/uuid"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	cartv1 "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/cart/v1/cartv1connect"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/payment/v1/paymentv1connect"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/quote/v1/quotev1connect"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

func main() {
	log.SetFlags(0)
	shop := flag.String("shop", "http://127.0.0.1:8080", "base `URL` of the shop")
	tokens := flag.String("issuer", "http://127.0.0.1:8082", "base `URL` of the issuer of tokens")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	alice := must(issuer.Ask(ctx, *tokens, []issuer.Claim{{Subject: "alice", Roles: []string{"buyer"}}}))[0]
	client := connect.NewClient(connecthttp.NewTransport(http.DefaultClient, *shop), issuer.Bearer(alice))
	orders := orderv1connect.NewOrderServiceClient(client)

	for _, sku := range must(catalogv1connect.NewCatalogServiceClient(client).ListSkus(ctx,
		&catalogv1.ListSkusRequest{OnSaleOnly: true})).Skus {
		fmt.Printf("on sale: %s, %s, %d %s\n", sku.Sku, sku.Title, sku.Price.Amount, sku.Price.Currency)
	}
	item := must(cartv1connect.NewCartServiceClient(client).AddCartLine(ctx, &cartv1.AddCartLineRequest{
		RequestId: uuid.NewString(), Sku: "tea-1", Quantity: 2,
	})).Item
	fmt.Printf("in the cart: %d of %s\n", item.Quantity, item.Sku)
	// A quote of what is selected in the cart.
	quote := must(quotev1connect.NewQuoteServiceClient(client).QuoteOrder(ctx, &quotev1.QuoteOrderRequest{
		Delivery: &quotev1.Delivery{Address: &addressv1.Address{
			Recipient: "Alice", Phone: "+86 10 12345678", Country: "CN", City: "Beijing", Street: "Chang'an Avenue 1",
		}},
	})).Quote
	fmt.Printf("to pay: %d %s with freight of %d\n", quote.Total.Amount, quote.Total.Currency, quote.Freight.Amount)
	// An app makes the request id once, and keeps it until there is an answer: the same again is the same order.
	order := must(orders.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
		RequestId: uuid.NewString(), QuoteToken: quote.Token,
	})).Order
	fmt.Printf("order %s: %s\n", order.OrderId, order.State)
	payment := must(paymentv1connect.NewPaymentServiceClient(client).CreatePayment(ctx,
		&paymentv1.CreatePaymentRequest{RequestId: uuid.NewString(), OrderId: order.OrderId, Provider: "sandbox"}))
	// The sandbox's page has one button, which a POST presses.
	press := must(http.NewRequestWithContext(ctx, http.MethodPost, payment.RedirectUrl, http.NoBody))
	must("pressed", do(press))
	for order.State == orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT {
		time.Sleep(100 * time.Millisecond)
		order = must(orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: order.OrderId})).Order
	}
	fmt.Printf("order %s: %s\n", order.OrderId, order.State)
}

func do(req *http.Request) error {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// must ends the journey where something fails, with what orderd says of it.
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
