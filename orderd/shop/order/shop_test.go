package order_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

const (
	journeyTimeout  = 30 * time.Minute
	shopConnections = 16
)

// shopKey is the same in every process of a test.
func shopKey() []byte { return []byte("0123456789abcdef") }

// refunds keeps granted refunds in a table of its own, as payment does.
type refunds struct{}

const createRefunds = `CREATE TABLE wishes (order_id uuid, key text, payment_id uuid, amount bigint,
	PRIMARY KEY (order_id, key))`

// createFreight makes a delivery method that costs 7 for the first piece and 3 for each more, free
// in Shanghai and not to Lhasa. CockroachDB wants a RETURNING from every statement below WITH.
const createFreight = `WITH template AS (INSERT INTO freight_templates (name, currency, charge_by, updated_at) VALUES ('post', 'CNY', 'PIECE', now()) RETURNING name),
	rules AS (INSERT INTO freight_rules (template, country, region, not_deliverable, first_units, first_charge, additional_units, additional_charge)
		VALUES ('post', '', '', false, 1, 7, 1, 3), ('post', 'CN', 'Shanghai', false, 1, 0, 0, 0), ('post', 'CN', 'Tibet', true, 0, 0, 0, 0) RETURNING template)
	INSERT INTO delivery_methods (name, title, template, position, updated_at) VALUES ('post', 'Post', 'post', 1, now())`

func home(region string) *addressv1.Address {
	return &addressv1.Address{
		Recipient: "Ann",
		Phone:     "+86 123456",
		Country:   "CN",
		Region:    region,
		City:      "A city",
		Street:    "1 Street",
	}
}

// InsertRefund is order.Refunder's.
func (refunds) InsertRefund(ctx context.Context, tx pgx.Tx, w order.RefundWish) error {
	_, err := tx.Exec(
		ctx,
		"INSERT INTO wishes (order_id, key, payment_id, amount) VALUES ($1, $2, $3, $4) ON CONFLICT (order_id, key) DO NOTHING",
		w.OrderID,
		w.Key,
		w.PaymentID,
		w.Amount,
	)
	return err
}

// shop is what the journeys have in common.
type shop struct {
	pool    *pgxpool.Pool
	store   *order.Store
	service *order.Service
	tokens  *quote.Tokens
	now     time.Time
	shops   int
}

func newShop(t testing.TB) *shop {
	t.Helper()
	return openShop(t, testdb.NewMigrated(t))
}

// openShop is a shop on a database that has nothing but its tables.
func openShop(t testing.TB, url string) *shop {
	t.Helper()
	pool, err := database.Open(context.Background(), url, shopConnections)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := &shop{pool: pool, now: time.UnixMilli(1_800_000_000_000)}
	if _, err := s.pool.Exec(context.Background(), createRefunds); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(context.Background(), createFreight); err != nil {
		t.Fatal(err)
	}
	if s.store, err = order.NewStore(
		order.Options{Pool: s.pool, Clock: s.clock, Logger: slog.New(slog.DiscardHandler), Refunder: refunds{}},
	); err != nil {
		t.Fatal(err)
	}
	if s.tokens, err = quote.NewTokens(shopKey(), journeyTimeout); err != nil {
		t.Fatal(err)
	}
	s.service = s.pod(t, 0)
	return s
}

func (s *shop) clock() time.Time { return s.now }

// pod is one more process that places orders in the shop, so many in a transaction.
func (s *shop) pod(t testing.TB, batch int) *order.Service {
	t.Helper()
	return s.limitedPod(t, order.ServiceOptions{MaxBatch: batch})
}

// limitedPod is one with limits.
func (s *shop) limitedPod(t testing.TB, o order.ServiceOptions) *order.Service {
	t.Helper()
	service, err := newService(s.pool, s.clock, o)
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// newService has the limits and the batch of the options.
func newService(pool *pgxpool.Pool, clock func() time.Time, o order.ServiceOptions) (*order.Service, error) {
	ids, err := orderid.NewGenerator(shopKey(), clock, rand.Reader)
	if err != nil {
		return nil, err
	}
	tokens, err := quote.NewTokens(shopKey(), journeyTimeout)
	if err != nil {
		return nil, err
	}
	store, err := order.NewStore(
		order.Options{Pool: pool, Clock: clock, Logger: slog.New(slog.DiscardHandler), Refunder: refunds{}},
	)
	if err != nil {
		return nil, err
	}
	return order.NewService(order.ServiceOptions{
		Store:          store,
		IDs:            ids,
		Tokens:         tokens,
		PaymentTimeout: journeyTimeout,
		Limits:         o.Limits,
		GuestLimits:    o.GuestLimits,
		MaxBatch:       o.MaxBatch,
		Returns:        o.Returns,
		Random:         mathrand.New(mathrand.NewPCG(1, 2)),
	}), nil
}

func (s *shop) tx(fn func(context.Context, *database.Tx) error) error {
	ctx := context.Background()
	return database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error { return fn(ctx, tx) })
}

func (s *shop) stocked(sku string, quantity int64) error {
	return s.tx(func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.Exec(ctx,
			"INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at) VALUES ($1, $1, 100, 'CNY', true, now())",
			sku)
		if err != nil {
			return err
		}
		if err := stock.Create(ctx, tx, sku); err != nil {
			return err
		}
		return stock.Apply(ctx, tx, []stock.Movement{stock.Add("stocked", stock.Quantity{SKU: sku, Quantity: quantity})})
	})
}
