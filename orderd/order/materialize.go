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
	wanted, skus, err := acceptedOrders(accepted)
	if err != nil || len(wanted) == 0 {
		return err
	}
	var placed []change
	err = database.ExecuteTx(ctx, s.pool, func(tx pgx.Tx) error {
		placed = nil
		titles, err := catalog.Find(ctx, tx, skus)
		if err != nil {
			return err
		}
		placed, err = insert(ctx, tx, wanted)
		if err != nil || len(placed) == 0 {
			return err
		}
		orders := ordersOf(placed)
		for _, o := range orders {
			for i, l := range o.Lines {
				sku, ok := titles[l.SKU]
				if !ok {
					return fmt.Errorf("order %s: there is no SKU %s", o.ID, l.SKU)
				}
				o.Lines[i].Title = sku.Title
			}
		}
		var b pgx.Batch
		queueLines(&b, orders)
		if err := queueRecords(&b, placed); err != nil {
			return err
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return fmt.Errorf("materializing %d orders: %w", len(wanted), err)
	}
	s.metrics.count(placed)
	return nil
}

// acceptedOrders are the orders to place, each once, by rising id, and the SKUs in them.
func acceptedOrders(accepted []Accepted) ([]change, []string, error) {
	seen := make(map[uuid.UUID]bool, len(accepted))
	skus := make(map[string]bool)
	var changes []change
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
		c, err := step(o, Place, o.CreatedAt, actorFlash, "")
		if err != nil {
			return nil, nil, err
		}
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(a, b change) int { return slices.Compare(a.order.ID[:], b.order.ID[:]) })
	return changes, codes, nil
}

func ordersOf(changes []change) []*Order {
	orders := make([]*Order, len(changes))
	for i, c := range changes {
		orders[i] = c.order
	}
	return orders
}

// insert writes the orders that are not there yet and returns those.
func insert(ctx context.Context, tx pgx.Tx, wanted []change) ([]change, error) {
	args, err := insertArgs(ordersOf(wanted))
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, insertSQL, args...)
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
	return slices.DeleteFunc(slices.Clone(wanted), func(c change) bool { return !isNew[c.order.ID] }), nil
}
