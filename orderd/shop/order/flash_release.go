package order

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

const (
	releaseBatch = 256
	// releaseParallel calls of one bucket are open at once. Owners put what waits at the same
	// time into one record.
	releaseParallel = 48
	// releaseInterval is between looks for releases, a query a bucket.
	releaseInterval = 500 * time.Millisecond
	// releaseTimeout bounds one call to a partition's owner.
	releaseTimeout = 5 * time.Second
)

// releaseBackoff puts a release off that failed.
var releaseBackoff = backoff.Policy{First: 200 * time.Millisecond, Max: 30 * time.Second}

// The outcomes of a release, as they are stored.
const (
	outcomeReleased = "RELEASED"
	outcomeCredited = "CREDITED"
)

// FlashReleaser gives a flash order's stock back to its promotion's log, once an order id however
// often it is called. CLOSED means that the partition is closed: then it is the caller who gives
// the stock back, to the SKUs.
type FlashReleaser interface {
	Release(
		ctx context.Context, promotionUID, buyerID string, orderID uuid.UUID, reason flashv1.ReleaseReason,
	) (flashv1.ReleaseOutcome, error)
}

// Releaser gives the stock of cancelled and expired flash orders back: to the promotion's log while
// it is open, to the SKUs afterwards.
type Releaser struct {
	store *Store
	flash FlashReleaser
	loop  *lease.Loop
	log   *slog.Logger
}

// ReleaserOptions of a [Releaser]. All have to be set but what [WorkerOptions] says.
type ReleaserOptions struct {
	Worker WorkerOptions
	// Flash is the flash pool.
	Flash FlashReleaser
}

// NewReleaser makes a releaser; [Releaser.Run] starts it. An error is the registerer's.
func NewReleaser(o ReleaserOptions) (*Releaser, error) {
	r := &Releaser{store: o.Worker.Store, flash: o.Flash, log: o.Worker.Logger}
	var err error
	r.loop, err = o.Worker.loop("release", releaseInterval, r.work)
	return r, err
}

// Run releases until ctx ends and returns nil.
func (r *Releaser) Run(ctx context.Context) error { return r.loop.Run(ctx) }

// release is a row of flash_releases that waits for its turn.
type release struct {
	OrderID               uuid.UUID
	PromotionUID, BuyerID string
	Reason                string
	Attempts              int64
	// Reservation is the order itself, encoded, if it is unwritable and so in no other table.
	Reservation []byte
}

// buyer whose partition has the order.
func (w release) buyer() (string, error) {
	if w.Reservation == nil {
		return w.BuyerID, nil
	}
	r, err := unwritableRow{OrderID: w.OrderID, Reservation: w.Reservation}.decode()
	return r.GetBuyerId(), err
}

func (r *Releaser) work(ctx context.Context, bucket int64) (bool, error) {
	waiting, err := r.store.releasesDue(ctx, bucket, releaseBatch)
	if err != nil || len(waiting) == 0 {
		return false, err
	}
	outcomes := r.ask(ctx, waiting)
	byOutcome := map[flashv1.ReleaseOutcome][]release{}
	for i, o := range outcomes {
		byOutcome[o] = append(byOutcome[o], waiting[i])
	}
	released := byOutcome[flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED]
	closed := byOutcome[flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED]
	stuck, err := r.record(ctx, released, closed)
	if err != nil {
		return false, err
	}
	failed := slices.Concat(byOutcome[flashv1.ReleaseOutcome_RELEASE_OUTCOME_UNSPECIFIED], stuck)
	r.store.metrics.releases.WithLabelValues("failed").Add(float64(len(failed)))
	return len(waiting) == releaseBatch, r.store.postpone(ctx, failed)
}

// record writes what became of releases. It returns those that it cannot write, which do not
// keep the others waiting.
func (r *Releaser) record(ctx context.Context, released, closed []release) (stuck []release, err error) {
	err = r.store.recordReleases(ctx, released, closed)
	if err == nil || ctx.Err() != nil || database.ClassOf(err) != database.Final {
		return nil, err
	}
	if err := r.store.recordReleases(ctx, released, nil); err != nil {
		return nil, err
	}
	for i, c := range closed {
		err := r.store.recordReleases(ctx, nil, closed[i:i+1])
		if err != nil && (ctx.Err() != nil || database.ClassOf(err) != database.Final) {
			return nil, err
		}
		if err != nil {
			r.log.Error("a release cannot be credited and is tried again later",
				"order", c.OrderID, "promotion", c.PromotionUID, "attempts", c.Attempts+1, "error", err)
			stuck = append(stuck, c)
		}
	}
	return stuck, nil
}

// ask calls the flash pool for every release, some at a time. No transaction is open meanwhile.
func (r *Releaser) ask(ctx context.Context, waiting []release) []flashv1.ReleaseOutcome {
	outcomes := make([]flashv1.ReleaseOutcome, len(waiting))
	var g errgroup.Group
	g.SetLimit(releaseParallel)
	for i, w := range waiting {
		g.Go(func() error {
			call, cancel := context.WithTimeout(ctx, releaseTimeout)
			defer cancel()
			outcome, err := r.askFor(call, w)
			if err != nil {
				r.log.Warn("release failed and is tried again",
					"order", w.OrderID, "promotion", w.PromotionUID, "attempts", w.Attempts+1, "error", err)
				return nil
			}
			outcomes[i] = outcome
			return nil
		})
	}
	_ = g.Wait()
	return outcomes
}

func (r *Releaser) askFor(ctx context.Context, w release) (flashv1.ReleaseOutcome, error) {
	buyer, err := w.buyer()
	if err != nil {
		return flashv1.ReleaseOutcome_RELEASE_OUTCOME_UNSPECIFIED, err
	}
	return r.flash.Release(ctx, w.PromotionUID, buyer, w.OrderID, w.reason())
}

func (w release) reason() flashv1.ReleaseReason {
	switch w.Reason {
	case reasonExpired:
		return flashv1.ReleaseReason_RELEASE_REASON_EXPIRED
	case reasonUnwritable:
		return flashv1.ReleaseReason_RELEASE_REASON_UNWRITABLE
	}
	return flashv1.ReleaseReason_RELEASE_REASON_CANCELLED
}

// recordReleases writes what became of releases. Those of closed partitions credit the stock in the
// same transaction, once: the movement's key is the order's.
func (s *Store) recordReleases(ctx context.Context, released, closed []release) error {
	if len(released)+len(closed) == 0 {
		return nil
	}
	err := database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		tx.AfterCommit(func() {
			s.metrics.releases.WithLabelValues(outcomeReleased).Add(float64(len(released)))
			s.metrics.releases.WithLabelValues(outcomeCredited).Add(float64(len(closed)))
		})
		if err := setOutcome(ctx, tx, released, outcomeReleased); err != nil {
			return err
		}
		if err := setOutcome(ctx, tx, closed, outcomeCredited); err != nil || len(closed) == 0 {
			return err
		}
		return credit(ctx, tx, closed)
	})
	if err != nil {
		return fmt.Errorf("writing what became of releases: %w", err)
	}
	return nil
}

// credit gives the orders' units back to their SKUs. What has no stock any more, as a SKU that
// was deleted, gets none.
func credit(ctx context.Context, tx pgx.Tx, closed []release) error {
	orders, err := loadAll(ctx, tx, orderIDs(closed))
	if err != nil {
		return err
	}
	moves := movements(orders, stock.Release)
	for _, c := range closed {
		if c.Reservation == nil {
			continue
		}
		r, err := unwritableRow{OrderID: c.OrderID, Reservation: c.Reservation}.decode()
		if err != nil {
			return err
		}
		for _, item := range r.GetItems() {
			moves = append(moves,
				stock.Release(c.OrderID.String(), stock.Quantity{SKU: item.GetSku(), Quantity: item.GetQuantity()}))
		}
	}
	skus := make([]string, len(moves))
	for i, m := range moves {
		skus[i] = m.SKU()
	}
	there, err := stock.Lock(ctx, tx, skus)
	if err != nil {
		return err
	}
	return stock.Apply(ctx, tx, slices.DeleteFunc(moves, func(m stock.Movement) bool {
		_, ok := there[m.SKU()]
		return !ok
	}))
}
