package stock

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// ErrDiffers says that a promotion's stock was moved before, in other quantities.
var ErrDiffers = errors.New("the promotion's stock was moved before, in other quantities")

// Allocate moves stock from the SKUs to a promotion: all of it, or an *InsufficientError or
// *UnknownSKUError and nothing. Repeating it with the same items changes nothing; with other
// quantities it is ErrDiffers.
func Allocate(ctx context.Context, db *pgxpool.Pool, promotionUID string, items []Quantity) error {
	return move(ctx, db, promotionUID, kindAllocate, allocate, items, nil)
}

// ReturnUnsold moves what a promotion did not sell back to the SKUs, once: repeating it with the same
// items changes nothing; with other quantities it is ErrDiffers.
func ReturnUnsold(ctx context.Context, db *pgxpool.Pool, promotionUID string, items []Quantity) error {
	return move(ctx, db, promotionUID, kindReturn, giveBack, items, nil)
}

// Allocated is what Allocate moved, by SKU; empty if nothing.
func Allocated(ctx context.Context, db *pgxpool.Pool, promotionUID string) ([]Quantity, error) {
	return moved(ctx, db, promotionUID, kindAllocate)
}

// Returned is what ReturnUnsold moved, by SKU; empty if nothing.
func Returned(ctx context.Context, db *pgxpool.Pool, promotionUID string) ([]Quantity, error) {
	return moved(ctx, db, promotionUID, kindReturn)
}

// move stock in one transaction, which first may look at whether it is allowed.
func move(
	ctx context.Context, db *pgxpool.Pool, uid, kind string, movement func(string, Quantity) Movement, items []Quantity,
	first func(*database.Tx) error,
) error {
	var movements []Movement
	for _, item := range items {
		if item.Quantity < 0 {
			return fmt.Errorf("promotion %s: %d of %s", uid, item.Quantity, item.SKU)
		}
		movements = append(movements, movement(uid, item))
	}
	err := database.ExecuteTx(ctx, db, func(tx *database.Tx) error {
		if first != nil {
			if err := first(tx); err != nil {
				return err
			}
		}
		if err := Apply(ctx, tx, movements); err != nil {
			return err
		}
		have, err := moved(ctx, tx, uid, kind)
		if err != nil {
			return err
		}
		quantity := map[string]int64{}
		for _, h := range have {
			quantity[h.SKU] = h.Quantity
		}
		for _, item := range items {
			if quantity[item.SKU] != item.Quantity {
				return fmt.Errorf("%w: %d of %s, now %d", ErrDiffers, quantity[item.SKU], item.SKU, item.Quantity)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("stock of promotion %s: %w", uid, err)
	}
	return nil
}
