package order

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
)

const (
	// completeBatch is how many orders one transaction completes.
	completeBatch = 200
	// completeInterval is between looks for orders to complete, a query a bucket.
	completeInterval = 10 * time.Second

	actorCompleter = "completer"
)

// confirm completes an order for its buyer, who has all of it. A completed one stays as it is.
func (s *Store) confirm(
	ctx context.Context, id uuid.UUID, req *orderv1.ConfirmReceiptRequest,
) (*orderv1.ConfirmReceiptResponse, error) {
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	answer := &orderv1.ConfirmReceiptResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		o, err := lockOne(ctx, tx, id)
		if err != nil {
			return err
		}
		if o.BuyerID != req.GetBuyerId() {
			return ErrNotFound
		}
		var b pgx.Batch
		var changes []change
		now := database.Stamp(s.now())
		if o.State != Completed {
			c, err := confirmed(o, cause{actorBuyer, ""}, now)
			if err != nil {
				return err
			}
			changes = []change{c}
			queueCounts(&b, o)
		}
		answer.Order = o.proto()
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		return s.write(ctx, tx, &b, changes)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// confirmed is the step of an order whose buyer has it: what has left has arrived,
// whatever the carrier says.
func confirmed(o *Order, by cause, at time.Time) (change, error) {
	if !o.left() {
		return change{}, refusedIn(o, Confirm)
	}
	c, err := step(o, Confirm, at, by.actor, by.reason)
	if err != nil {
		return change{}, err
	}
	for i := range o.Lines {
		o.Lines[i].Delivered = o.Lines[i].Shipped
	}
	if o.DeliveredAt == nil {
		o.DeliveredAt = &at
	}
	return c, nil
}

// Completer completes delivered orders whose buyers have neither confirmed nor
// complained for a set time.
type Completer struct {
	store *Store
	loop  *lease.Loop
	after time.Duration
	log   *slog.Logger
}

// CompleterOptions of a [Completer]. All have to be set but what [WorkerOptions] says.
type CompleterOptions struct {
	Worker WorkerOptions
	// After is how long after its delivery an order is complete.
	After time.Duration
}

// NewCompleter makes a completer; [Completer.Run] starts it. An error is the registerer's.
func NewCompleter(o CompleterOptions) (*Completer, error) {
	c := &Completer{store: o.Worker.Store, after: o.After, log: o.Worker.Logger}
	var err error
	c.loop, err = o.Worker.loop("completion", completeInterval, c.work)
	return c, err
}

// Run completes orders until ctx ends and returns nil.
func (c *Completer) Run(ctx context.Context) error { return c.loop.Run(ctx) }

func (c *Completer) work(ctx context.Context, bucket int64) (bool, error) {
	now := c.store.now()
	ids, err := c.store.deliveredUntil(ctx, bucket, now.Add(-c.after), completeBatch)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	return allElseEach(ctx, ids, completeBatch, c.log, func(ctx context.Context, ids []uuid.UUID) error {
		return c.store.complete(ctx, ids, now)
	})
}

// complete completes those of the orders that are still DELIVERED.
func (s *Store) complete(ctx context.Context, ids []uuid.UUID, at time.Time) error {
	err := database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		var changes []change
		orders, err := lock(ctx, tx, ids)
		if err != nil {
			return err
		}
		for _, o := range orders {
			if o.State != Delivered {
				continue
			}
			c, err := step(o, Complete, database.Stamp(at), actorCompleter, "")
			if err != nil {
				return err
			}
			changes = append(changes, c)
		}
		return s.write(ctx, tx, &pgx.Batch{}, changes)
	})
	if err != nil {
		return fmt.Errorf("completing orders: %w", err)
	}
	return nil
}
