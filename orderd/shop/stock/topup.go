package stock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
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
	var all []TopUp
	err := database.ExecuteTx(ctx, db, func(tx *database.Tx) error {
		ended, err := lockTopUps(ctx, tx, promotionUID)
		if err != nil {
			return err
		}
		if all, err = readTopUps(ctx, tx, promotionUID); err != nil {
			return err
		}
		allocated, err := moved(ctx, tx, promotionUID, kindAllocate)
		if err != nil {
			return err
		}
		lacking := lackingOf(targets, allocated, all)
		switch {
		case len(lacking) == 0:
			return nil
		case ended:
			return ErrTopUpsEnded
		case len(all)+len(lacking) > MaxTopUps:
			return ErrTooManyTopUps
		}
		all = append(all, lacking...)
		return insertTopUps(ctx, tx, promotionUID, lacking)
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
	var all []TopUp
	err := database.ExecuteTx(ctx, db, func(tx *database.Tx) error {
		if _, err := lockTopUps(ctx, tx, promotionUID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE promotion_stock SET ended = true WHERE promotion_uid = $1 AND NOT ended",
			promotionUID); err != nil {
			return err
		}
		var err error
		all, err = readTopUps(ctx, tx, promotionUID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ending the top-ups of promotion %s: %w", promotionUID, err)
	}
	return all, nil
}

// lockTopUps lets transactions on one promotion's top-ups come one after the other.
func lockTopUps(ctx context.Context, tx pgx.Tx, uid string) (ended bool, err error) {
	if _, err := tx.Exec(ctx,
		"INSERT INTO promotion_stock (promotion_uid) VALUES ($1) ON CONFLICT (promotion_uid) DO NOTHING", uid); err != nil {
		return false, fmt.Errorf("locking the promotion's stock: %w", err)
	}
	if err := tx.QueryRow(ctx, "SELECT ended FROM promotion_stock WHERE promotion_uid = $1 FOR UPDATE",
		uid).Scan(&ended); err != nil {
		return false, fmt.Errorf("locking the promotion's stock: %w", err)
	}
	return ended, nil
}

func readTopUps(ctx context.Context, q database.Querier, uid string) ([]TopUp, error) {
	rows, err := q.Query(ctx,
		"SELECT number, sku, quantity FROM promotion_top_ups WHERE promotion_uid = $1 ORDER BY number", uid)
	if err != nil {
		return nil, fmt.Errorf("reading the top-ups of promotion %s: %w", uid, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[TopUp])
	if err != nil {
		return nil, fmt.Errorf("reading the top-ups of promotion %s: %w", uid, err)
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

func insertTopUps(ctx context.Context, tx pgx.Tx, uid string, lacking []TopUp) error {
	numbers, skus, quantities := make([]int64, len(lacking)), make([]string, len(lacking)), make([]int64, len(lacking))
	movements := make([]Movement, len(lacking))
	for i, t := range lacking {
		numbers[i], skus[i], quantities[i] = t.Number, t.SKU, t.Quantity
		movements[i] = topUpMovement(uid, t)
	}
	_, err := tx.Exec(ctx, `INSERT INTO promotion_top_ups (promotion_uid, number, sku, quantity, created_at)
		SELECT $1::text, t.number, t.sku, t.quantity, now() FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS t (number, sku, quantity)`,
		uid, numbers, skus, quantities)
	if err != nil {
		return fmt.Errorf("writing the top-ups of promotion %s: %w", uid, err)
	}
	return Apply(ctx, tx, movements)
}
