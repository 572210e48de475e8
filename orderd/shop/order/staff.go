package order

import (
	"context"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

const (
	// maxTags is how many an order has at most.
	maxTags = 20
	// maxNoted is the version from which on an order takes no notes and no tags: its history is read whole.
	maxNoted = maxHistory - 100
)

// StaffChange is what a member of the staff asks of an order. Version is the order's as it was shown to them, 0 where
// any will do; Actor and Reason go to the history and the event.
type StaffChange struct {
	OrderID       uuid.UUID
	Version       int64
	Actor, Reason string
}

func (c StaffChange) by() cause { return cause{c.Actor, c.Reason} }

// lock is lockOne, unless the order was changed since it was shown: ABORTED/ORDER_CHANGED.
func (c StaffChange) lock(ctx context.Context, tx *database.Tx) (*Order, error) {
	o, err := lockOne(ctx, tx, c.OrderID)
	if err != nil {
		return nil, err
	}
	if c.Version != 0 && c.Version != o.Version {
		return nil, rpcerr.New(connect.CodeAborted, rpcerr.ReasonOrderChanged,
			"the order was changed meanwhile; look at it again", "version", strconv.FormatInt(o.Version, 10))
	}
	return o, nil
}

// CancelByStaff cancels an order as CancelOrder does for its buyer, in the transaction; at is now. A cancelled one
// stays as it is.
func (s *Store) CancelByStaff(
	ctx context.Context, tx *database.Tx, at time.Time, c StaffChange,
) (*orderv1.Order, error) {
	o, err := c.lock(ctx, tx)
	if err != nil {
		return nil, err
	}
	var b pgx.Batch
	changes, moves, err := s.cancelLocked(ctx, tx, &b, o, c.by(), database.Stamp(at))
	if err != nil {
		return nil, err
	}
	if err := s.undo(ctx, tx, &b, changes); err != nil {
		return nil, err
	}
	return o.full(), stock.Apply(ctx, tx, moves)
}

// RefundUnits gives back what was paid for units that no parcel has, which will not be shipped. key is unique among the
// order's grants. Errors beside the lock's: FAILED_PRECONDITION/PARCEL_REQUESTED and UNITS_NOT_HERE, and those of
// GrantRefund.
func (s *Store) RefundUnits(
	ctx context.Context, tx *database.Tx, at time.Time, c StaffChange, key string, lines []LineQuantity, restock bool,
) (*orderv1.Order, Granted, error) {
	o, err := c.lock(ctx, tx)
	if err != nil {
		return nil, Granted{}, err
	}
	for _, l := range lines {
		var left, parcel int64
		if l.Line >= 1 && l.Line <= int64(len(o.Lines)) {
			left, parcel = o.Lines[l.Line-1].unshipped(), o.Lines[l.Line-1].Shipping
		}
		if l.Quantity > left && l.Quantity <= left+parcel {
			return nil, Granted{}, parcelRequested()
		}
		if l.Quantity > left {
			return nil, Granted{}, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonUnitsNotHere,
				"a parcel has the units, or they were refunded",
				"line", strconv.FormatInt(l.Line, 10), "left", strconv.FormatInt(left, 10))
		}
	}
	granted, err := s.GrantRefund(ctx, tx, at, Grant{
		OrderID: o.ID, Key: key, Lines: lines, Reason: reasonStaff, Why: c.Reason, Actor: c.Actor, Restock: restock,
	})
	if err != nil {
		return nil, Granted{}, err
	}
	after, err := lockOne(ctx, tx, o.ID)
	if err != nil {
		return nil, Granted{}, err
	}
	return after.full(), granted, nil
}

// DeliverByStaff gives an order that no parcel was asked for another address, as SetDelivery does for its buyer.
func (s *Store) DeliverByStaff(
	ctx context.Context, tx *database.Tx, at time.Time, c StaffChange, wanted *quote.Delivery,
) (*orderv1.Order, error) {
	o, err := c.lock(ctx, tx)
	if err != nil {
		return nil, err
	}
	changed, err := deliverLocked(ctx, tx, o, c.by(), wanted, database.Stamp(at))
	if err != nil {
		return nil, err
	}
	var b pgx.Batch
	if err := queueDelivery(&b, o); err != nil {
		return nil, err
	}
	return o.full(), s.write(ctx, tx, &b, []change{changed})
}

// TagByStaff puts tags on an order and takes others off. Errors beside the lock's: RESOURCE_EXHAUSTED/TOO_MANY_TAGS and
// TOO_MANY_CHANGES.
func (s *Store) TagByStaff(
	ctx context.Context, tx *database.Tx, at time.Time, c StaffChange, add, remove []string,
) (*orderv1.Order, error) {
	o, err := c.lock(ctx, tx)
	if err != nil {
		return nil, err
	}
	tags := slices.DeleteFunc(slices.Concat(o.Tags, add), func(t string) bool { return slices.Contains(remove, t) })
	slices.Sort(tags)
	tags = slices.Compact(tags)
	if slices.Equal(tags, o.Tags) {
		return o.full(), nil
	}
	if len(tags) > maxTags {
		return nil, rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyTags,
			"the order would have too many tags", "most", strconv.Itoa(maxTags))
	}
	var b pgx.Batch
	changed, err := noted(o, Tag, c, at)
	if err != nil {
		return nil, err
	}
	o.Tags = tags
	queueTags(&b, o)
	return o.full(), s.write(ctx, tx, &b, []change{changed})
}

// Note is what staff wrote about an order.
type Note struct {
	Text, Author string
	At           time.Time
}

// NoteByStaff adds a note. Errors beside the lock's: RESOURCE_EXHAUSTED/TOO_MANY_CHANGES.
func (s *Store) NoteByStaff(
	ctx context.Context, tx *database.Tx, at time.Time, c StaffChange, n Note,
) (*orderv1.Order, error) {
	o, err := c.lock(ctx, tx)
	if err != nil {
		return nil, err
	}
	changed, err := noted(o, AddNote, c, at)
	if err != nil {
		return nil, err
	}
	var b pgx.Batch
	queueNote(&b, o, n)
	return o.full(), s.write(ctx, tx, &b, []change{changed})
}

// noted is the step of a change that an order could have without end.
func noted(o *Order, event Event, c StaffChange, at time.Time) (change, error) {
	if o.Version >= maxNoted {
		return change{}, rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyChanges,
			"the order has too many changes for another note or tag", "most", strconv.Itoa(maxNoted))
	}
	return step(o, event, database.Stamp(at), c.Actor, c.Reason)
}

// RPCError is what a caller sees of this package's errors.
func RPCError(err error) error { return rpcError(err) }
