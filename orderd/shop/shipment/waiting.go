package shipment

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// Waiting are an order's parcels that have not left, locked in a transaction, so that units which
// are refunded before they leave can be taken out of them.
type Waiting struct {
	store   *Store
	tx      *database.Tx
	at      time.Time
	orderID uuid.UUID
	works   []*work
	// carrier of the first parcel that was ended; empty if none was.
	carrier string
}

// LockWaiting locks an order's parcels that have not left. It comes before the order's lock.
func (s *Store) LockWaiting(ctx context.Context, tx *database.Tx, at time.Time, orderID uuid.UUID) (*Waiting, error) {
	requested, err := lockRequested(ctx, tx, orderID)
	if err != nil {
		return nil, err
	}
	w := &Waiting{store: s, tx: tx, at: database.Stamp(at), orderID: orderID}
	for _, sh := range requested {
		w.works = append(w.works, s.newWork(tx, w.at, sh))
	}
	return w, nil
}

// TakeOut ends parcels until so many units of the lines are in none, and tells whether they are: a
// parcel that was requested between [Store.LockWaiting] and the order's lock is not among them. A
// parcel cannot be opened at its carrier's, so all of it ends.
func (w *Waiting) TakeOut(ctx context.Context, lines []order.LineQuantity, actor string) (bool, error) {
	need := make(map[int64]int64, len(lines))
	for _, l := range lines {
		need[l.Line] += l.Quantity
	}
	for _, parcel := range w.works {
		useful := false
		for _, l := range parcel.shipment.Lines {
			useful = useful || need[l.Line] > 0
		}
		if !useful {
			continue
		}
		for _, l := range parcel.shipment.Lines {
			need[l.Line] -= l.Quantity
		}
		if err := parcel.fail(ctx, exceptionRefunded, "", actor); err != nil {
			return false, err
		}
		if err := parcel.write(ctx); err != nil {
			return false, err
		}
		if w.carrier == "" {
			w.carrier = parcel.shipment.Carrier
		}
	}
	for _, n := range need {
		if n > 0 {
			return false, nil
		}
	}
	return true, nil
}

// RequestRest requests a parcel of what is left to be shipped after parcels were ended, with the
// same carrier; key names what asks for it.
func (w *Waiting) RequestRest(ctx context.Context, key, actor string) error {
	if w.carrier == "" {
		return nil
	}
	_, err := w.store.request(ctx, w.tx, w.at, wish{orderID: w.orderID, source: key, carrier: w.carrier, actor: actor})
	_, refused := conflict(err)
	if refused || errors.Is(err, order.ErrNothingLeft) || errors.Is(err, order.ErrNoAddress) ||
		errors.Is(err, errTooMany) {
		return nil
	}
	return err
}
