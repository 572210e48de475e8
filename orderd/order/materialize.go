package order

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/catalog"
	"github.com/orderd-dev/orderd/orderd/database"
)

const actorFlash = "flash lane"

// Accepted is an order that the flash lane has taken: it is durable in a partition's log, and its stock
// was the promotion's.
type Accepted struct {
	OrderID                                               uuid.UUID
	BuyerID, RequestID, PromotionUID, Promotion, Currency string
	Items                                                 []AcceptedItem
	AcceptedAt, ExpiresAt                                 time.Time
}

// AcceptedItem is one item of it; the unit price is in the currency's minor unit.
type AcceptedItem struct {
	SKU                 string
	Quantity, UnitPrice int64
}

// Materialize writes accepted orders to the database in one transaction; those that are there already
// stay as they are. A few hundred a call are best. An error means that none was written.
func (s *Store) Materialize(ctx context.Context, accepted []Accepted) error {
	orders, skus, err := acceptedOrders(accepted)
	if err != nil || len(orders) == 0 {
		return err
	}
	var placed []change
	err = database.ExecuteTx(ctx, s.pool, func(tx pgx.Tx) error {
		placed = nil
		titles, err := catalog.Find(ctx, tx, skus)
		if err != nil {
			return err
		}
		fresh, err := insert(ctx, tx, orders)
		if err != nil || len(fresh) == 0 {
			return err
		}
		for _, o := range fresh {
			for i, l := range o.Lines {
				sku, ok := titles[l.SKU]
				if !ok {
					return fmt.Errorf("order %s: there is no SKU %s", o.ID, l.SKU)
				}
				o.Lines[i].Title = sku.Title
			}
			placed = append(placed, change{order: o, event: Place, actor: actorFlash, at: o.CreatedAt})
		}
		var b pgx.Batch
		queueLines(&b, fresh)
		if err := queueRecords(&b, placed); err != nil {
			return err
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return fmt.Errorf("materializing %d orders: %w", len(orders), err)
	}
	s.metrics.count(placed)
	return nil
}

// acceptedOrders are the orders to write, each once, by rising id, and the SKUs in them.
func acceptedOrders(accepted []Accepted) ([]*Order, []string, error) {
	seen := make(map[uuid.UUID]bool, len(accepted))
	skus := make(map[string]bool)
	var orders []*Order
	var codes []string
	for _, a := range accepted {
		if seen[a.OrderID] {
			continue
		}
		seen[a.OrderID] = true
		o := &Order{
			ID: a.OrderID, BuyerID: a.BuyerID, Currency: a.Currency, PromotionUID: a.PromotionUID, Promotion: a.Promotion,
			CreatedAt: stamp(a.AcceptedAt), ExpiresAt: stamp(a.ExpiresAt),
		}
		for _, item := range a.Items {
			o.Lines = append(o.Lines, Line{SKU: item.SKU, Quantity: item.Quantity, UnitPrice: item.UnitPrice})
			if !skus[item.SKU] {
				skus[item.SKU] = true
				codes = append(codes, item.SKU)
			}
		}
		sum, ok := total(o.Lines)
		if !ok || len(o.Lines) == 0 || !o.flash() {
			return nil, nil, fmt.Errorf("accepted order %s cannot be written", a.OrderID)
		}
		o.Total = sum
		if _, err := step(o, Place, o.CreatedAt, actorFlash, ""); err != nil {
			return nil, nil, err
		}
		orders = append(orders, o)
	}
	slices.SortFunc(orders, func(a, b *Order) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return orders, codes, nil
}

// insert writes the orders that are not there yet and returns those.
func insert(ctx context.Context, tx pgx.Tx, orders []*Order) ([]*Order, error) {
	rows, err := tx.Query(ctx, insertSQL, insertArgs(orders)...)
	if err != nil {
		return nil, fmt.Errorf("writing orders: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("writing orders: %w", err)
	}
	isNew := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		isNew[id] = true
	}
	return slices.DeleteFunc(slices.Clone(orders), func(o *Order) bool { return !isNew[o.ID] }), nil
}
