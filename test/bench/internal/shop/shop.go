// Package shop is what the standard lane is asked for in a benchmark: orders of SKUs that never run
// out, and queries of them.
package shop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/test/bench/internal/load"
)

const (
	// maxBooked orders are remembered for the queries.
	maxBooked = 20_000
	plenty    = 1_000_000_000
)

// Book has what was ordered.
type Book struct {
	skus   int
	mu     sync.Mutex
	orders []placed
}

type placed struct{ buyer, order string }

// New book of a shop with so many SKUs.
func New(skus int) *Book { return &Book{skus: skus} }

func sku(n int) string { return fmt.Sprintf("sku-%04d", n) }

// Stock puts all SKUs on sale.
func (b *Book) Stock(ctx context.Context, c *connect.Client) error {
	catalog := catalogv1connect.NewCatalogServiceClient(c)
	for n := range b.skus {
		_, err := catalog.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
			Sku: sku(n), Title: "SKU " + sku(n), Price: &moneyv1.Money{Amount: 1000 + int64(n), Currency: "EUR"}, OnSale: true,
		}})
		if err != nil {
			return err
		}
		if _, err := catalog.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: "bench-" + sku(n), Sku: sku(n),
			Delta: plenty}); err != nil {
			return err
		}
	}
	return nil
}

// PlaceCall places an order of two lines by a buyer of its own; what is placed is put into taken,
// unless nil.
func (b *Book) PlaceCall(phase string, taken *Book) load.Call {
	run := fmt.Sprintf("%s-%08x", phase, rand.Uint32())
	return func(caller, n int) (proto.Message, load.Check) {
		buyer := fmt.Sprintf("%s-%d-%d", run, caller, n)
		first := rand.IntN(b.skus)
		request := &orderv1.PlaceOrderRequest{
			RequestId: "place", BuyerId: buyer,
			Lines: []*orderv1.PlaceOrderLine{
				{Sku: sku(first), Quantity: 1}, {Sku: sku((first + 1 + rand.IntN(b.skus-1)) % b.skus), Quantity: 2},
			},
		}
		if taken == nil || taken.full() {
			return request, nil
		}
		return request, func(status int, answer []byte) (bool, error) {
			if status != http.StatusOK {
				return false, fmt.Errorf("%d: %s", status, answer)
			}
			res := &orderv1.PlaceOrderResponse{}
			if err := proto.Unmarshal(answer, res); err != nil {
				return false, err
			}
			taken.take(placed{buyer, res.GetOrder().GetOrderId()})
			return true, nil
		}
	}
}

func (b *Book) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.orders) >= maxBooked
}

// Empty says whether nothing was ordered yet.
func (b *Book) Empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.orders) == 0
}

func (b *Book) take(p placed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.orders = append(b.orders, p)
}

func (b *Book) any() placed {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.orders[rand.IntN(len(b.orders))]
}

// Get calls GetOrder for one of the orders.
func (b *Book) Get(int, int) (proto.Message, load.Check) {
	p := b.any()
	return &orderv1.GetOrderRequest{BuyerId: p.buyer, OrderId: p.order}, nil
}

// List calls ListOrders for the buyer of one of the orders.
func (b *Book) List(int, int) (proto.Message, load.Check) {
	return &orderv1.ListOrdersRequest{BuyerId: b.any().buyer}, nil
}

// Quote calls QuoteOrder for the buyer of one of the orders.
func (b *Book) Quote(int, int) (proto.Message, load.Check) {
	first := rand.IntN(b.skus - 1)
	return &quotev1.QuoteOrderRequest{
		BuyerId: b.any().buyer,
		Lines:   []*quotev1.SelectedLine{{Sku: sku(first), Quantity: 1}, {Sku: sku(first + 1), Quantity: 2}},
	}, nil
}
