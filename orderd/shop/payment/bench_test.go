package payment_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

const benchOrders = 2048

// saleShop is a shop at the end of a sale of one SKU.
type saleShop struct {
	store   *order.Store
	service *payment.Service
	sandbox *sandbox.Sandbox
}

func newSaleShop(b *testing.B) (out saleShop) {
	b.Helper()
	pool, ctx, log := testdb.NewPool(b), context.Background(), slog.New(slog.DiscardHandler)
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	must(database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at)
			VALUES ('tea', 'Tea', 100, 'CNY', true, now())`); err != nil {
			return err
		}
		if err := stock.Create(ctx, tx, "tea"); err != nil {
			return err
		}
		return stock.Apply(ctx, tx, []stock.Movement{
			stock.Add("stocked", stock.Quantity{SKU: "tea", Quantity: benchOrders}),
		})
	}))
	must(stock.Allocate(ctx, pool, "sale", []stock.Quantity{{SKU: "tea", Quantity: benchOrders}}))
	var err error
	out.store, err = order.NewStore(order.Options{Pool: pool, Clock: time.Now, Logger: log})
	must(err)
	out.sandbox, err = sandbox.New(sandbox.Options{
		Pool: pool, Key: []byte("0123456789abcdef"), Merchant: "m", PublicURL: "http://shop", NotifyURL: "http://shop",
		Clock: time.Now, Logger: log,
	})
	must(err)
	out.service, err = payment.NewService(payment.Options{
		Pool: pool, Orders: out.store, Providers: []payment.Provider{out.sandbox},
		Clock: time.Now, Random: rand.Reader, Logger: log,
	})
	must(err)
	return out
}

// BenchmarkFlashOrders measures what follows a sale, in orders a second: writing accepted orders to
// the database, creating their payments, and handling their notifications, all for one SKU.
func BenchmarkFlashOrders(b *testing.B) {
	ctx := context.Background()
	for b.Loop() {
		s := newSaleShop(b)
		accepted := make([]order.Accepted, benchOrders)
		for i := range accepted {
			accepted[i] = order.Accepted{
				OrderID: uuid.New(), BuyerID: fmt.Sprintf("b%d", i), RequestID: "r",
				PromotionUID: "sale", Promotion: "sale", Currency: "CNY",
				Items:      []order.AcceptedItem{{SKU: "tea", Quantity: 1, UnitPrice: 99}},
				AcceptedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
			}
		}
		start := time.Now()
		for i := 0; i < benchOrders; i += 256 {
			if err := s.store.Materialize(ctx, accepted[i:i+256]); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(benchOrders/time.Since(start).Seconds(), "materialized/s")

		start = time.Now()
		bodies := make([]string, benchOrders)
		inParallel(func(i int) {
			answer, err := s.service.CreatePayment(ctx, &paymentv1.CreatePaymentRequest{
				RequestId: "p", BuyerId: accepted[i].BuyerID, OrderId: accepted[i].OrderID.String(), Provider: "sandbox",
			})
			if err != nil {
				b.Error(err)
				return
			}
			bodies[i] = fmt.Sprintf(
				`{"transaction_id":"t%d","payment_id":%q,"merchant":"m","amount":99,"currency":"CNY","status":"SUCCESS"}`, i,
				answer.GetPayment().GetPaymentId(),
			)
		})
		b.ReportMetric(benchOrders/time.Since(start).Seconds(), "created/s")

		start = time.Now()
		handler := payment.NotificationHandler(s.service)
		inParallel(func(i int) {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(bodies[i]))
			r.SetPathValue("provider", "sandbox")
			r.Header.Set(sandbox.SignatureHeader, s.sandbox.Sign([]byte(bodies[i]), time.Now()))
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != http.StatusNoContent {
				b.Errorf("notification %d: %d", i, w.Code)
			}
		})
		b.ReportMetric(benchOrders/time.Since(start).Seconds(), "paid/s")
	}
}

// inParallel is 64 buyers at once, one after the other until all have had their turn.
func inParallel(do func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range benchOrders {
		next <- i
	}
	close(next)
	wg.Wait()
}
