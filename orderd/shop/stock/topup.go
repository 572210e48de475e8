package stock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// MaxTopUps is how many times stock can be added to one promotion, each item counted: pods are told
// all of them in one message.
const MaxTopUps = 2000

// kindTopUp is followed by the top-up's number.
const kindTopUp = "PROMOTION_TOP_UP:"

var (
	// ErrTopUpsEnded says that EndTopUps came before: nothing was moved.
	ErrTopUpsEnded = errors.New("stock can no longer be added to the promotion")
	// ErrTooManyTopUps says that the promotion would have more than MaxTopUps: nothing was moved.
	ErrTooManyTopUps = fmt.Errorf("stock was added to the promotion %d times, which is the most", MaxTopUps)
)

// TopUp is stock that was added to a promotion after its allocation.
type TopUp struct {
	// Number of the top-up in its promotion, from 1.
	Number int64
	SKU    string
	// Quantity in units, at least 1.
	Quantity int64
}

// Name of the top-up, unique in its promotion.
func (t TopUp) Name() string { return strconv.FormatInt(t.Number, 10) }

func topUpMovement(promotionUID string, t TopUp) Movement {
	return Movement{
		ref:       promotionUID,
		kind:      kindTopUp + t.Name(),
		sku:       t.SKU,
		available: -t.Quantity,
		reserved:  t.Quantity,
	}
}

// AddTopUps moves stock from the SKUs to a promotion that was allocated, until what it got of each
// item is its target; an item that has its target, or more, gets nothing. It is one transaction:
// all that is lacking is moved, or an *InsufficientError, *UnknownSKUError, ErrTopUpsEnded or
// ErrTooManyTopUps is returned and nothing is. Repeating it changes nothing. It returns all top-ups
// that the promotion ever got, the oldest first.
func AddTopUps(ctx context.Context, db *pgxpool.Pool, promotionUID string, targets []Quantity) ([]TopUp, error) {
	all, err := database.QueryTx(ctx, db, func(tx *database.Tx) ([]TopUp, error) {
		ended, err := lockTopUps(ctx, tx, promotionUID)
		if err != nil {
			return nil, err
		}
		before, err := readTopUps(ctx, tx, promotionUID)
		if err != nil {
			return nil, err
		}
		allocated, err := moved(ctx, tx, promotionUID, kindAllocate)
		if err != nil {
			return nil, err
		}
		lacking := lackingOf(targets, allocated, before)
		switch {
		case len(lacking) == 0:
			return before, nil
		case ended:
			return nil, ErrTopUpsEnded
		case len(before)+len(lacking) > MaxTopUps:
			return nil, ErrTooManyTopUps
		}
		return append(before, lacking...), insertTopUps(ctx, tx, promotionUID, lacking)
	})
	if err != nil {
		return nil, fmt.Errorf("topping up promotion %s: %w", promotionUID, err)
	}
	return all, nil
}

// TopUps are all that the promotion got, the oldest first.
func TopUps(ctx context.Context, db *pgxpool.Pool, promotionUID string) ([]TopUp, error) {
	return readTopUps(ctx, db, promotionUID)
}

// EndTopUps lets no more stock be added to the promotion, and returns all that it got: nothing can
// be added to that any more, also not by a transaction that began before. It may be repeated.
func EndTopUps(ctx context.Context, db *pgxpool.Pool, promotionUID string) ([]TopUp, error) {
	all, err := database.QueryTx(ctx, db, func(tx *database.Tx) ([]TopUp, error) {
		if _, err := lockTopUps(ctx, tx, promotionUID); err != nil {
			return nil, err
		}
		if err := writeTopUpsEnded(ctx, tx, promotionUID); err != nil {
			return nil, err
		}
		return readTopUps(ctx, tx, promotionUID)
	})
	if err != nil {
		return nil, fmt.Errorf("ending the top-ups of promotion %s: %w", promotionUID, err)
	}
	return all, nil
}

// lackingOf are the top-ups that bring each item to its target, in the order of their SKUs.
func lackingOf(targets, allocated []Quantity, all []TopUp) []TopUp {
	have := make(map[string]int64, len(allocated))
	for _, q := range allocated {
		have[q.SKU] += q.Quantity
	}
	number := int64(0)
	for _, t := range all {
		have[t.SKU] += t.Quantity
		number = max(number, t.Number)
	}
	var lacking []TopUp
	bySKU := func(a, b Quantity) int { return cmp.Compare(a.SKU, b.SKU) }
	for _, target := range slices.SortedFunc(slices.Values(targets), bySKU) {
		if short := target.Quantity - have[target.SKU]; short > 0 {
			number++
			lacking = append(lacking, TopUp{Number: number, SKU: target.SKU, Quantity: short})
		}
	}
	return lacking
}
