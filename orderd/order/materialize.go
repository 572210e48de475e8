package order

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
// stay as they are. A few hundred a call are best. An error means that none was written, unless its class is Unknown; a
// *RefusedError that some never can be.
func (s *Store) Materialize(ctx context.Context, accepted []Accepted) error {
	wanted, skus, err := acceptedOrders(accepted)
	if err != nil || len(wanted) == 0 {
		return err
	}
	var placed []change
	err = database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		placed = nil
		catalogued, err := catalog.Find(ctx, tx, skus)
		if err != nil {
			return err
		}
		placed, err = insert(ctx, tx, wanted)
		if err != nil || len(placed) == 0 {
			return err
		}
		orders := ordersOf(placed)
		refused := entitle(orders, catalogued)
		if len(refused) > 0 {
			return &RefusedError{Orders: refused}
		}
		var b pgx.Batch
		queueRefused(&b, idsOf(orders), refused)
		queueLines(&b, orders)
		if err := queueRecords(&b, placed); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		if len(refused) > 0 {
			return &RefusedError{Orders: refused}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("materializing %d orders: %w", len(wanted), refusedByData(err, wanted))
	}
	s.metrics.count(placed)
	return nil
}

// entitle gives the lines their SKUs' titles, and tells which orders have a SKU that is not in the catalog.
func entitle(orders []*Order, catalogued map[string]catalog.SKU) map[uuid.UUID]string {
	refused := map[uuid.UUID]string{}
	for _, o := range orders {
		for i, l := range o.Lines {
			sku, ok := catalogued[l.SKU]
			if !ok {
				refused[o.ID] = fmt.Sprintf("SKU %s is not in the catalog", l.SKU)
				break
			}
			o.Lines[i].Title = sku.Title
		}
	}
	return refused
}

// acceptedOrders are the orders to place, each once, by rising id, and the SKUs in them.
func acceptedOrders(accepted []Accepted) ([]change, []string, error) {
	seen := make(map[uuid.UUID]bool, len(accepted))
	skus := make(map[string]bool)
	refused := map[uuid.UUID]string{}
	var changes []change
	var codes []string
	for _, a := range accepted {
		if seen[a.OrderID] {
			continue
		}
		seen[a.OrderID] = true
		o := &Order{
			ID: a.OrderID, BuyerID: a.BuyerID, Currency: a.Currency, PromotionUID: a.PromotionUID, Promotion: a.Promotion,
			CreatedAt: database.Stamp(a.AcceptedAt), ExpiresAt: database.Stamp(a.ExpiresAt),
		}
		for _, item := range a.Items {
			o.Lines = append(o.Lines, Line{SKU: item.SKU, Quantity: item.Quantity, UnitPrice: item.UnitPrice})
			if !skus[item.SKU] {
				skus[item.SKU] = true
				codes = append(codes, item.SKU)
			}
		}
		if !o.flash() {
			return nil, nil, fmt.Errorf("accepted order %s is of no promotion", a.OrderID)
		}
		sum, ok := total(o.Lines)
		if !ok || len(o.Lines) == 0 {
			refused[o.ID] = "its items are no order: " + describe(o.Lines)
			continue
		}
		o.Total = sum
		c, err := step(o, Place, o.CreatedAt, actorFlash, "")
		if err != nil {
			return nil, nil, err
		}
		changes = append(changes, c)
	}
	if len(refused) > 0 {
		return nil, nil, fmt.Errorf("materializing %d orders: %w", len(seen), &RefusedError{Orders: refused})
	}
	slices.SortFunc(changes, func(a, b change) int { return compareIDs(a.order.ID, b.order.ID) })
	return changes, codes, nil
}

// describe lists lines whose total cannot be told.
func describe(lines []Line) string {
	if len(lines) == 0 {
		return "there are none"
	}
	parts := make([]string, len(lines))
	for i, l := range lines {
		parts[i] = fmt.Sprintf("%d of %s at %d", l.Quantity, l.SKU, l.UnitPrice)
	}
	return strings.Join(parts, ", ")
}

func idsOf(orders []*Order) []uuid.UUID {
	ids := make([]uuid.UUID, len(orders))
	for i, o := range orders {
		ids[i] = o.ID
	}
	return ids
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
