package order

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/encoding/protojson"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

const selectOrders = `SELECT order_id, buyer_id, state, version, currency, total, discount, freight, tax, promotion_uid, promotion,
	address, delivery_method, invoice, coupon_ids, payment_id, created_at, expires_at, paid_at, cancelled_at, cancel_reason,
	shipped_at, delivered_at, completed_at, channel, attributes, buyer_message, gift_note, tags FROM orders `

// load reads the orders that a condition finds, with their lines, in the query's order.
func load(ctx context.Context, q database.Querier, condition string, args ...any) ([]*Order, error) {
	rows, err := q.Query(ctx, selectOrders+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading orders: %w", err)
	}
	orders, err := pgx.CollectRows(rows, scanOrder)
	if err != nil {
		return nil, fmt.Errorf("reading orders: %w", err)
	}
	return orders, loadLines(ctx, q, orders)
}

func scanOrder(row pgx.CollectableRow) (*Order, error) {
	o := &Order{}
	var address, invoice, attributes []byte
	err := row.Scan(&o.ID, &o.BuyerID, &o.State, &o.Version, &o.Currency, &o.Total, &o.Discount, &o.Freight, &o.Tax,
		&o.PromotionUID, &o.Promotion, &address, &o.DeliveryMethod, &invoice, &o.CouponIDs, &o.PaymentID, &o.CreatedAt,
		&o.ExpiresAt, &o.PaidAt, &o.CancelledAt, &o.CancelReason, &o.ShippedAt, &o.DeliveredAt, &o.CompletedAt,
		&o.Channel, &attributes, &o.BuyerMessage, &o.GiftNote, &o.Tags)
	if err != nil {
		return nil, err
	}
	if len(address) > 0 {
		o.Address = &addressv1.Address{}
		if err := protojson.Unmarshal(address, o.Address); err != nil {
			return nil, fmt.Errorf("address of order %s: %w", o.ID, err)
		}
	}
	if len(invoice) > 0 {
		o.Invoice = &quotev1.Invoice{}
		if err := protojson.Unmarshal(invoice, o.Invoice); err != nil {
			return nil, fmt.Errorf("invoice of order %s: %w", o.ID, err)
		}
	}
	if len(attributes) > 0 {
		if err := json.Unmarshal(attributes, &o.Attributes); err != nil {
			return nil, fmt.Errorf("attributes of order %s: %w", o.ID, err)
		}
	}
	return o, nil
}

func loadLines(ctx context.Context, q database.Querier, orders []*Order) error {
	if len(orders) == 0 {
		return nil
	}
	byID := make(map[uuid.UUID]*Order, len(orders))
	ids := make([]uuid.UUID, len(orders))
	for i, o := range orders {
		byID[o.ID], ids[i] = o, o.ID
	}
	rows, err := q.Query(ctx, `SELECT order_id, sku, title, quantity, unit_price, discount, freight, tax,
		shipping, shipped, delivered, returned, withdrawn, refund_granted, refunded
		FROM order_lines WHERE order_id = ANY ($1) ORDER BY order_id, line`, ids)
	if err != nil {
		return fmt.Errorf("reading order lines: %w", err)
	}
	var id uuid.UUID
	var l Line
	_, err = pgx.ForEachRow(rows, []any{
		&id, &l.SKU, &l.Title, &l.Quantity, &l.UnitPrice, &l.Discount, &l.Freight, &l.Tax,
		&l.Shipping, &l.Shipped, &l.Delivered, &l.Returned, &l.Withdrawn, &l.RefundGranted, &l.Refunded,
	}, func() error {
		byID[id].Lines = append(byID[id].Lines, l)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading order lines: %w", err)
	}
	return nil
}

// loadAll reads orders by rising id, without locking them.
func loadAll(ctx context.Context, q database.Querier, ids []uuid.UUID) ([]*Order, error) {
	return load(ctx, q, "WHERE order_id = ANY ($1) ORDER BY order_id", ids)
}

// Read gives orders by their ids, as events have them; those that are not there are left out.
func Read(ctx context.Context, q database.Querier, ids []uuid.UUID) (map[uuid.UUID]*orderv1.Order, error) {
	orders, err := loadAll(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[uuid.UUID]*orderv1.Order, len(orders))
	for _, o := range orders {
		found[o.ID] = o.full()
	}
	return found, nil
}

// lock reads orders and keeps their rows locked until the transaction ends, in the order of their
// ids. Who changes an order's lines holds its row.
func lock(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) ([]*Order, error) {
	return load(ctx, tx, "WHERE order_id = ANY ($1) ORDER BY order_id FOR UPDATE", ids)
}

// lockOne is lock for one order, or ErrNotFound.
func lockOne(ctx context.Context, tx pgx.Tx, id uuid.UUID) (*Order, error) {
	orders, err := lock(ctx, tx, []uuid.UUID{id})
	if err != nil {
		return nil, err
	}
	if len(orders) == 0 {
		return nil, ErrNotFound
	}
	return orders[0], nil
}

// Lock reads an order and keeps its row locked until the transaction ends, for those who count
// against its lines; or ErrNotFound.
func Lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) (*Order, error) { return lockOne(ctx, tx, id) }

// Get reads a buyer's order, or ErrNotFound.
func (s *Store) Get(ctx context.Context, buyerID string, id uuid.UUID) (*Order, error) {
	return Get(ctx, s.pool, buyerID, id)
}

// Get reads a buyer's order without locking it, or ErrNotFound; q is a pool or a transaction.
func Get(ctx context.Context, q database.Querier, buyerID string, id uuid.UUID) (*Order, error) {
	orders, err := load(ctx, q, "WHERE order_id = $1 AND buyer_id = $2", id, buyerID)
	if err != nil {
		return nil, err
	}
	if len(orders) == 0 {
		return nil, ErrNotFound
	}
	return orders[0], nil
}

// Due is what there is to pay for an order.
type Due struct {
	State State
	// Amount in the currency's minor unit.
	Amount    int64
	Currency  string
	ExpiresAt time.Time
}

// GetDue reads what a buyer's order costs, without its lines, or ErrNotFound; q is a
// pool or a transaction.
func GetDue(ctx context.Context, q database.Querier, buyerID string, id uuid.UUID) (Due, error) {
	rows, err := q.Query(ctx,
		"SELECT state, total, currency, expires_at FROM orders WHERE order_id = $1 AND buyer_id = $2", id, buyerID)
	if err != nil {
		return Due{}, fmt.Errorf("reading an order: %w", err)
	}
	due, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Due])
	if errors.Is(err, pgx.ErrNoRows) {
		return Due{}, ErrNotFound
	}
	if err != nil {
		return Due{}, fmt.Errorf("reading an order: %w", err)
	}
	return due, nil
}
