package stock

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// PromotionName is what a promotion is called, other than by its uid.
type PromotionName struct{ Namespace, Name string }

// HeldError says that another promotion of the same name holds stock: it took some and has not returned
// what it did not sell.
type HeldError struct {
	Name PromotionName
	// UID of the one that holds it.
	UID string
}

// Error names both.
func (e *HeldError) Error() string {
	return fmt.Sprintf("promotion %s/%s of UID %s holds stock that was not returned", e.Name.Namespace, e.Name.Name, e.UID)
}

// AllocateAs is Allocate for a promotion of a name: a *HeldError, and nothing, while another one of the
// name holds stock.
func AllocateAs(
	ctx context.Context, db *pgxpool.Pool, name PromotionName, promotionUID string, items []Quantity,
) error {
	return move(ctx, db, promotionUID, kindAllocate, allocate, items, func(tx *database.Tx) error {
		return claimName(ctx, tx, name, promotionUID)
	})
}

// Holder is the uid of the promotion of the name that holds stock; "": none does.
func Holder(ctx context.Context, db *pgxpool.Pool, name PromotionName) (string, error) {
	uid, err := readName(ctx, db, name)
	if err != nil || uid == "" {
		return "", err
	}
	holding, err := holds(ctx, db, uid)
	if err != nil || !holding {
		return "", err
	}
	return uid, nil
}

func claimName(ctx context.Context, tx *database.Tx, name PromotionName, uid string) error {
	before, err := lockName(ctx, tx, name, uid)
	if err != nil || before == uid {
		return err
	}
	holding, err := holds(ctx, tx, before)
	if err != nil {
		return err
	}
	if holding {
		return &HeldError{Name: name, UID: before}
	}
	return writeName(ctx, tx, name, uid)
}

// holds tells whether a promotion took stock and has not returned what it did not sell.
func holds(ctx context.Context, q database.Querier, uid string) (bool, error) {
	taken, err := moved(ctx, q, uid, kindAllocate)
	if err != nil || len(taken) == 0 {
		return false, err
	}
	returned, err := moved(ctx, q, uid, kindReturn)
	return len(returned) == 0, err
}
