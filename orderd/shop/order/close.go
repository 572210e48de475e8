package order

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// CloseByStaff ends an order, in the transaction; at is now. One that is not paid is cancelled as by
// [Store.CancelByStaff], one of which all has left is completed as by its buyer's ConfirmReceipt, and one that has
// ended stays as it is. Errors beside the lock's: a *lifecycle.RefusedError for any other.
func (s *Store) CloseByStaff(
	ctx context.Context, tx *database.Tx, at time.Time, c StaffChange,
) (*orderv1.Order, error) {
	o, err := c.lock(ctx, tx)
	if err != nil {
		return nil, err
	}
	switch o.State {
	case PendingPayment:
		return s.CancelByStaff(ctx, tx, at, c)
	case Completed, Cancelled:
		return o.full(), nil
	}
	changed, err := confirmed(o, c.by(), database.Stamp(at))
	if err != nil {
		return nil, err
	}
	var b pgx.Batch
	queueCounts(&b, o)
	return o.full(), s.write(ctx, tx, &b, []change{changed})
}
