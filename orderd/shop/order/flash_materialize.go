package order

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
)

const actorFlash = "flash lane"

// Accepted is an order that the flash lane has taken: it is durable in a partition's log, and its
// stock was the promotion's.
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

// Materialize writes accepted orders to the database in one transaction; those that are there
// already stay as they are. A few hundred a call are best. An error means that none was written,
// unless its class is [database.Unknown]; an [*UnwritableError] means that some never can be.
func (s *Store) Materialize(ctx context.Context, accepted []Accepted) error {
	wanted, skus, err := acceptedOrders(accepted)
	if err != nil || len(wanted) == 0 {
		return err
	}
	err = database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error { return s.materialize(ctx, tx, wanted, skus) })
	if err != nil {
		return fmt.Errorf("materializing %d orders: %w", len(wanted), unwritableData(err, wanted))
	}
	return nil
}

// materialize is the transaction of [Store.Materialize].
func (s *Store) materialize(ctx context.Context, tx *database.Tx, wanted []change, skus []string) error {
	catalogued, err := catalog.Find(ctx, tx, skus)
	if err != nil {
		return err
	}
	placed, err := insertNew(ctx, tx, wanted)
	if err != nil || len(placed) == 0 {
		return err
	}
	orders := ordersOf(placed)
	unwritable := entitle(orders, catalogued)
	if len(unwritable) > 0 {
		return &UnwritableError{Orders: unwritable}
	}
	var b pgx.Batch
	queueRefused(&b, idsOf(orders), unwritable)
	queueLines(&b, orders)
	if err := queueRecords(&b, placed); err != nil {
		return err
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if len(unwritable) > 0 {
		return &UnwritableError{Orders: unwritable}
	}
	tx.AfterCommit(func() { s.metrics.count(placed) })
	return nil
}

// entitle gives the lines their SKUs' titles, and tells which orders have a SKU that
// is not in the catalog.
func entitle(orders []*Order, catalogued map[string]catalog.SKU) map[uuid.UUID]string {
	unwritable := map[uuid.UUID]string{}
	for _, o := range orders {
		for i, l := range o.Lines {
			sku, ok := catalogued[l.SKU]
			if !ok {
				unwritable[o.ID] = fmt.Sprintf("SKU %s is not in the catalog", l.SKU)
				break
			}
			o.Lines[i].Title = sku.Title
		}
	}
	return unwritable
}

// acceptedOrders are the orders to place, each once, by rising id, and the SKUs in them.
func acceptedOrders(accepted []Accepted) ([]change, []string, error) {
	seen := make(map[uuid.UUID]bool, len(accepted))
	skus := make(map[string]bool)
	unwritable := map[uuid.UUID]string{}
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
			unwritable[o.ID] = "its items are no order: " + describe(o.Lines)
			continue
		}
		o.Total = sum
		c, err := step(o, Place, o.CreatedAt, actorFlash, "")
		if err != nil {
			return nil, nil, err
		}
		changes = append(changes, c)
	}
	if len(unwritable) > 0 {
		return nil, nil, fmt.Errorf("materializing %d orders: %w", len(seen), &UnwritableError{Orders: unwritable})
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
