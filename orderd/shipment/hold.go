package shipment

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/order"
)

// Held are an order's parcels that have not left, locked in a transaction: so that units which are refunded before
// they leave can be taken out of them.
type Held struct {
	store   *Store
	tx      *database.Tx
	at      time.Time
	orderID uuid.UUID
	works   []*work
	// carrier of the first parcel that was ended; empty if none was.
	carrier string
}

// Hold locks an order's parcels that have not left. It comes before the order's lock.
func (s *Store) Hold(ctx context.Context, tx *database.Tx, at time.Time, orderID uuid.UUID) (*Held, error) {
	waiting, err := load(ctx, tx, "WHERE order_id = $1 AND state = $2 ORDER BY shipment_id FOR UPDATE", orderID, string(Requested))
	if err != nil {
		return nil, err
	}
	h := &Held{store: s, tx: tx, at: database.Stamp(at), orderID: orderID}
	for _, sh := range waiting {
		h.works = append(h.works, &work{store: s, tx: tx, at: h.at, shipment: sh})
	}
	return h, nil
}

// Free ends parcels until so many units of the lines are in none, and tells whether they are: a parcel that was requested between Hold and the
// order's lock is not among them. A parcel cannot be opened at its carrier's, so all of it ends.
func (h *Held) Free(ctx context.Context, lines []order.LineQuantity, actor string) (bool, error) {
	need := make(map[int64]int64, len(lines))
	for _, l := range lines {
		need[l.Line] += l.Quantity
	}
	for _, w := range h.works {
		useful := false
		for _, l := range w.shipment.Lines {
			useful = useful || need[l.Line] > 0
		}
		if !useful {
			continue
		}
		for _, l := range w.shipment.Lines {
			need[l.Line] -= l.Quantity
		}
		if err := w.fail(ctx, exceptionRefunded, "", actor); err != nil {
			return false, err
		}
		if err := w.write(ctx); err != nil {
			return false, err
		}
		if h.carrier == "" {
			h.carrier = w.shipment.Carrier
		}
	}
	for _, n := range need {
		if n > 0 {
			return false, nil
		}
	}
	return true, nil
}

// Again requests a parcel of what is left to be shipped after parcels were ended, with the same carrier; key names what asks for it.
func (h *Held) Again(ctx context.Context, key, actor string) error {
	if h.carrier == "" {
		return nil
	}
	w, err := h.store.request(ctx, h.tx, h.at, wish{orderID: h.orderID, source: key, carrier: h.carrier, actor: actor})
	if _, refused := conflict(err); refused || errors.Is(err, order.ErrNothingLeft) || errors.Is(err, order.ErrNoAddress) || errors.Is(err, errTooMany) {
		return nil
	}
	if err != nil {
		return err
	}
	h.works = append(h.works, w)
	return nil
}

// Committed is called after the commit.
func (h *Held) Committed() {
	for _, w := range h.works {
		w.done()
	}
}
