package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

// LineQuantity is a number of units of an order's line; lines are numbered from 1.
type LineQuantity struct{ Line, Quantity int64 }

// Parcel is what a shipment of an order takes, and where to.
type Parcel struct {
	BuyerID        string
	Address        *addressv1.Address
	DeliveryMethod string
	Lines          []ParcelLine
}

// ParcelLine is what a parcel has of a line.
type ParcelLine struct {
	Line       int64
	SKU, Title string
	Quantity   int64
}

var (
	// ErrNothingLeft says that there is nothing, or not as much, left of the order to be shipped.
	ErrNothingLeft = errors.New("nothing is left to be shipped")
	// ErrNoAddress says that the order has no address yet.
	ErrNoAddress = errors.New("the order has no address")
	// ErrQuantity says that a line is not there, is named twice or has not as many
	// units in that place.
	ErrQuantity = errors.New("the order's line does not have so many units for this")
)

// ReserveShipment puts units of a paid order into a parcel: all that is left if lines is nil. Units
// that were refunded before they left, or that another parcel has, are not left. The order's row is
// locked until the transaction ends. Besides those above its errors are ErrNotFound and
// a *lifecycle.RefusedError.
func (s *Store) ReserveShipment(
	ctx context.Context, tx *database.Tx, _ time.Time, orderID uuid.UUID, lines []LineQuantity,
) (Parcel, error) {
	o, err := lockOne(ctx, tx, orderID)
	if err != nil {
		return Parcel{}, err
	}
	if _, err := transitions.Next(o.State, Ship); err != nil {
		return Parcel{}, err
	}
	if lines == nil {
		lines = o.unshipped()
	}
	if len(lines) == 0 {
		return Parcel{}, ErrNothingLeft
	}
	if o.Address == nil {
		return Parcel{}, ErrNoAddress
	}
	p := Parcel{BuyerID: o.BuyerID, Address: o.Address, DeliveryMethod: o.DeliveryMethod}
	err = o.each(lines, func(l *Line, n int64, q int64) error {
		if q > l.unshipped() {
			return fmt.Errorf("%w: %d of line %d are, %d wanted", ErrNothingLeft, l.unshipped(), n, q)
		}
		l.Shipping += q
		p.Lines = append(p.Lines, ParcelLine{Line: n, SKU: l.SKU, Title: l.Title, Quantity: q})
		return nil
	})
	if err != nil {
		return Parcel{}, err
	}
	return p, s.writeCounts(ctx, tx, o)
}

// UnreserveShipment takes units out of a parcel that will not leave.
func (s *Store) UnreserveShipment(
	ctx context.Context, tx *database.Tx, _ time.Time, orderID uuid.UUID, lines []LineQuantity,
) error {
	o, err := lockOne(ctx, tx, orderID)
	if err != nil {
		return err
	}
	err = o.each(lines, func(l *Line, n, q int64) error {
		if q > l.Shipping {
			return fmt.Errorf("%w: line %d has %d in parcels, %d to take out", ErrQuantity, n, l.Shipping, q)
		}
		l.Shipping -= q
		return nil
	})
	if err != nil {
		return err
	}
	return s.writeCounts(ctx, tx, o)
}

// RecordShipped tells that a parcel whose units were reserved has left: the order is SHIPPED. A
// cancelled order's parcel is a *lifecycle.RefusedError.
func (s *Store) RecordShipped(
	ctx context.Context, tx *database.Tx, at time.Time, orderID, shipmentID uuid.UUID, lines []LineQuantity, actor string,
) error {
	o, err := lockOne(ctx, tx, orderID)
	if err != nil {
		return err
	}
	c, err := step(o, Ship, database.Stamp(at), actor, "shipment "+shipmentID.String())
	if err != nil {
		return err
	}
	c.about.shipmentID = shipmentID.String()
	err = o.each(lines, func(l *Line, n, q int64) error {
		if q > l.Shipping {
			return fmt.Errorf("%w: line %d has %d in parcels, %d left", ErrQuantity, n, l.Shipping, q)
		}
		l.Shipping -= q
		l.Shipped += q
		return nil
	})
	if err != nil {
		return err
	}
	return s.writeStep(ctx, tx, c)
}

// RecordDelivered tells that a parcel has arrived: the order is DELIVERED if nothing else has to
// leave or to arrive. Where the buyer had confirmed the receipt before, it changes nothing.
func (s *Store) RecordDelivered(
	ctx context.Context, tx *database.Tx, at time.Time, orderID, shipmentID uuid.UUID, lines []LineQuantity, actor string,
) error {
	o, err := lockOne(ctx, tx, orderID)
	if err != nil {
		return err
	}
	if o.State == Completed {
		return nil
	}
	if o.State != Shipped && o.State != Delivered {
		return &lifecycle.RefusedError{State: string(o.State), Event: string(Deliver)}
	}
	err = o.each(lines, func(l *Line, n, q int64) error {
		if q > l.Shipped-l.Delivered {
			return fmt.Errorf("%w: line %d has %d on their way, %d arrived", ErrQuantity, n, l.Shipped-l.Delivered, q)
		}
		l.Delivered += q
		return nil
	})
	if err != nil {
		return err
	}
	event := Arrive
	if o.State == Shipped && o.fulfilled() {
		event = Deliver
	}
	c, err := step(o, event, database.Stamp(at), actor, "shipment "+shipmentID.String())
	if err != nil {
		return err
	}
	c.about.shipmentID = shipmentID.String()
	return s.writeStep(ctx, tx, c)
}

// unshipped are the units that no parcel has or had.
func (o *Order) unshipped() []LineQuantity {
	var out []LineQuantity
	for i, l := range o.Lines {
		if q := l.unshipped(); q > 0 {
			out = append(out, LineQuantity{Line: int64(i + 1), Quantity: q})
		}
	}
	return out
}

// each calls change for each of the lines, or is an ErrQuantity.
func (o *Order) each(lines []LineQuantity, change func(l *Line, number, quantity int64) error) error {
	seen := make(map[int64]bool, len(lines))
	for _, want := range lines {
		if want.Line < 1 || want.Line > int64(len(o.Lines)) || want.Quantity < 1 || seen[want.Line] {
			return fmt.Errorf("%w: %d of line %d", ErrQuantity, want.Quantity, want.Line)
		}
		seen[want.Line] = true
		if err := change(&o.Lines[want.Line-1], want.Line, want.Quantity); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) writeCounts(ctx context.Context, tx *database.Tx, o *Order) error {
	var b pgx.Batch
	queueCounts(&b, o)
	return s.write(ctx, tx, &b, nil)
}

// writeStep writes one change of an order with its lines' counts.
func (s *Store) writeStep(ctx context.Context, tx *database.Tx, c change) error {
	var b pgx.Batch
	queueCounts(&b, c.order)
	return s.write(ctx, tx, &b, []change{c})
}
