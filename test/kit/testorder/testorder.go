// Package testorder makes paid orders for tests of what comes after the payment: deliveries and
// returns. The orders are made by the packages that own them; refunds go to a table of the test's.
package testorder

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// Currency of all orders.
const Currency = "CNY"

// Clock is the real one, moved forward at will.
type Clock struct{ offset atomic.Int64 }

// Now is the clock's time.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Advance moves the clock forward.
func (c *Clock) Advance(by time.Duration) { c.offset.Add(int64(by)) }

// Shop makes orders in a migrated database.
type Shop struct {
	Pool   *pgxpool.Pool
	Orders *order.Store
	Clock  *Clock
	sales  atomic.Int64
	prefix string
}

// Line is what an order has of a SKU of its own. The buyer pays Quantity * UnitPrice - Discount +
// Freight.
type Line struct{ Quantity, UnitPrice, Discount, Freight int64 }

// refunds keeps granted refunds as package payment does: by order and key, once.
type refunds struct{}

// InsertRefund is order.Refunder's.
func (refunds) InsertRefund(ctx context.Context, tx pgx.Tx, w order.RefundWish) error {
	_, err := tx.Exec(ctx, `INSERT INTO test_refunds (order_id, key, amount) VALUES ($1, $2, $3)
		ON CONFLICT (order_id, key) DO NOTHING`, w.OrderID, w.Key, w.Amount)
	return err
}

// New makes a shop; several may share a database.
func New(ctx context.Context, pool *pgxpool.Pool) (*Shop, error) {
	s := &Shop{Pool: pool, Clock: &Clock{}, prefix: uuid.NewString()[:8]}
	_, err := pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS test_refunds
		(order_id uuid, key text, amount bigint, PRIMARY KEY (order_id, key))`)
	if err != nil {
		return nil, err
	}
	s.Orders, err = order.NewStore(order.Options{
		Pool: pool, Clock: s.Clock.Now, Logger: slog.New(slog.DiscardHandler), Refunder: refunds{},
	})
	return s, err
}

// Paid makes an order of the buyer's that is paid and, if it is to have an address, can be shipped.
func (s *Shop) Paid(ctx context.Context, buyerID string, address bool, lines ...Line) (uuid.UUID, error) {
	sale := fmt.Sprintf("%s-%d", s.prefix, s.sales.Add(1))
	accepted := order.Accepted{
		OrderID: uuid.New(), BuyerID: buyerID, RequestID: sale, PromotionUID: sale, Promotion: sale, Currency: Currency,
		AcceptedAt: s.Clock.Now(), ExpiresAt: s.Clock.Now().Add(time.Hour),
	}
	var allocated []stock.Quantity
	for i, l := range lines {
		sku := fmt.Sprintf("%s-%d", sale, i+1)
		if err := s.stocked(ctx, sku, l.Quantity); err != nil {
			return uuid.Nil, err
		}
		allocated = append(allocated, stock.Quantity{SKU: sku, Quantity: l.Quantity})
		accepted.Items = append(accepted.Items, order.AcceptedItem{SKU: sku, Quantity: l.Quantity, UnitPrice: l.UnitPrice})
	}
	if err := stock.Allocate(ctx, s.Pool, sale, allocated); err != nil {
		return uuid.Nil, err
	}
	if err := s.Orders.Materialize(ctx, []order.Accepted{accepted}); err != nil {
		return uuid.Nil, err
	}
	err := database.ExecuteTx(ctx, s.Pool, func(tx *database.Tx) error {
		for i, l := range lines {
			if _, err := tx.Exec(ctx, "UPDATE order_lines SET discount = $3, freight = $4 WHERE order_id = $1 AND line = $2",
				accepted.OrderID, i+1, l.Discount, l.Freight); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `UPDATE orders SET total = total - $2 + $3, discount = discount + $2, freight = freight + $3
				WHERE order_id = $1`, accepted.OrderID, l.Discount, l.Freight)
			if err != nil {
				return err
			}
		}
		if address {
			if _, err := tx.Exec(ctx, "UPDATE orders SET address = $2, delivery_method = 'standard' WHERE order_id = $1",
				accepted.OrderID, Address); err != nil {
				return err
			}
		}
		outcomes, err := s.Orders.MarkPaid(ctx, tx, s.Clock.Now(), []order.Payment{
			{OrderID: accepted.OrderID, PaymentID: uuid.New(), Actor: "test"},
		})
		if err == nil && outcomes[0] != order.Applied {
			err = fmt.Errorf("paying the order: %s", outcomes[0])
		}
		return err
	})
	return accepted.OrderID, err
}

// Address of all orders that have one.
const Address = `{"recipient": "Li", "phone": "+86 123456", "country": "CN", "city": "Hangzhou",
	"street": "1 West Lake"}`

func (s *Shop) stocked(ctx context.Context, sku string, quantity int64) error {
	return database.ExecuteTx(ctx, s.Pool, func(tx *database.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at)
			VALUES ($1, $1, 100, $2, true, now())`, sku, Currency)
		if err != nil {
			return err
		}
		if err := stock.Create(ctx, tx, sku); err != nil {
			return err
		}
		return stock.Apply(ctx, tx, []stock.Movement{stock.Add("stocked", stock.Quantity{SKU: sku, Quantity: quantity})})
	})
}

// Get reads an order.
func (s *Shop) Get(ctx context.Context, buyerID string, id uuid.UUID) (*order.Order, error) {
	return order.Get(ctx, s.Pool, buyerID, id)
}

// Withdraw refunds units of an order that have not left.
func (s *Shop) Withdraw(ctx context.Context, id uuid.UUID, key string, lines ...order.LineQuantity) error {
	return database.ExecuteTx(ctx, s.Pool, func(tx *database.Tx) error {
		_, err := s.Orders.GrantRefund(ctx, tx, s.Clock.Now(), order.Grant{
			OrderID: id, Key: key, Lines: lines, Reason: "TEST", Actor: "test",
		})
		return err
	})
}

// Refunds is the sum that was handed to the payment provider for an order.
func (s *Shop) Refunds(ctx context.Context, id uuid.UUID) (sum int64, err error) {
	err = s.Pool.QueryRow(ctx, "SELECT coalesce(sum(amount), 0)::bigint FROM test_refunds WHERE order_id = $1",
		id).Scan(&sum)
	return sum, err
}

// Levels of the SKU in an order's line.
func (s *Shop) Levels(ctx context.Context, o *order.Order, line int) (stock.Levels, error) {
	return stock.Get(ctx, s.Pool, o.Lines[line-1].SKU)
}

// Cancel cancels an order as its buyer would.
func (s *Shop) Cancel(ctx context.Context, buyerID string, id uuid.UUID) error {
	service := order.NewService(order.ServiceOptions{Store: s.Orders, PaymentTimeout: time.Hour})
	_, err := service.CancelOrder(ctx, &orderv1.CancelOrderRequest{
		RequestId: uuid.NewString(), BuyerId: buyerID, OrderId: id.String(),
	})
	return err
}

// PaidBack tells the order that the provider has paid a granted refund back.
func (s *Shop) PaidBack(ctx context.Context, id uuid.UUID, key string) error {
	return database.ExecuteTx(ctx, s.Pool, func(tx *database.Tx) error {
		var amount int64
		const find = "SELECT amount FROM test_refunds WHERE order_id = $1 AND key = $2"
		if err := tx.QueryRow(ctx, find, id, key).Scan(&amount); err != nil {
			return err
		}
		return s.Orders.RecordRefunded(ctx, tx, s.Clock.Now(), id, key, uuid.New(), amount)
	})
}
