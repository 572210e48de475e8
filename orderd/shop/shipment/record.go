package shipment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
)

// maxEvents is how many events of a shipment are kept. What comes after them still moves the
// shipment.
const maxEvents = 500

// report is what somebody tells of a parcel.
type report struct {
	events []carrier.Event
	actor  string
	// full says that it is all that the carrier knows.
	full bool
}

// work is what one transaction does to one shipment, which is locked.
type work struct {
	store    *Store
	tx       *database.Tx
	at       time.Time
	shipment *Shipment
	changes  []change
	// numbered: the shipment has got its tracking number.
	numbered bool
}

// newWork is for a shipment that is locked, or new. What it changes is counted after the commit.
func (s *Store) newWork(tx *database.Tx, at time.Time, sh *Shipment) *work {
	w := &work{store: s, tx: tx, at: at, shipment: sh}
	tx.AfterCommit(func() { s.metrics.count(w.changes) })
	return w
}

// change runs do on a locked shipment in a transaction of its own and writes what became of it.
func (s *Store) change(ctx context.Context, id uuid.UUID, do func(*work) error) error {
	err := database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		_, err := s.changeIn(ctx, tx, id, do)
		return err
	})
	if err != nil {
		return fmt.Errorf("shipment %s: %w", id, err)
	}
	return nil
}

// changeIn is change in the caller's transaction. It returns the shipment as it is written.
func (s *Store) changeIn(ctx context.Context, tx *database.Tx, id uuid.UUID, do func(*work) error) (*Shipment, error) {
	locked, err := lock(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	w := s.newWork(tx, database.Stamp(s.now()), locked)
	if err := do(w); err != nil {
		return nil, err
	}
	return locked, w.write(ctx)
}

func (w *work) write(ctx context.Context) error {
	if err := update(ctx, w.tx, w.shipment, w.changes); err != nil || !w.numbered || w.store.stale == nil {
		return err
	}
	return w.store.stale(ctx, w.tx, []uuid.UUID{w.shipment.OrderID})
}

func (w *work) step(event Event, actor, reason string) error {
	c, err := step(w.shipment, event, w.at, actor, reason)
	if err != nil {
		return err
	}
	w.changes = append(w.changes, c)
	return nil
}

// record stores what was told and moves the shipment, and with it its order, as far as that leads.
// The order in which things are told does not matter: a shipment only moves on, and an arrival says
// that the parcel had left.
func (w *work) record(ctx context.Context, r report) error {
	s := w.shipment
	stored, err := insertEvents(ctx, w.tx, s.ID, r.events, r.actor, w.at, maxEvents-s.Events)
	if err != nil {
		return err
	}
	s.Events += stored
	if r.full {
		s.FetchedAt, s.Attempts = &w.at, 0
	}
	left, arrived, failed := w.read(r.events)
	if s.State == Requested && left != nil {
		if err := w.ship(ctx, *left, r.actor); err != nil {
			return err
		}
	}
	switch {
	case s.State == InTransit && arrived != nil:
		err = w.deliver(ctx, Deliver, *arrived, r.actor)
	case s.State == Exception && s.ShippedAt != nil && arrived != nil:
		err = w.deliver(ctx, Find, *arrived, r.actor)
	case s.State == InTransit && failed != "":
		err = w.step(Fail, r.actor, string(failed))
		s.Exception = string(failed)
	}
	if err != nil {
		return err
	}
	w.schedule()
	return nil
}

// read finds in events when the parcel left and arrived, and why it will not arrive.
func (w *work) read(events []carrier.Event) (left, arrived *time.Time, failed carrier.Code) {
	for _, e := range events {
		at := e.At
		// A carrier's clock may be wrong, but nothing has happened later than now.
		if at.After(w.at) {
			at = w.at
		}
		if e.Code.Left() || e.Code.Failed() || e.Code == carrier.Delivered {
			if left == nil || at.Before(*left) {
				left = &at
			}
		}
		switch {
		case e.Code == carrier.Delivered:
			arrived = &at
		case e.Code.Failed():
			failed = e.Code
		}
	}
	return left, arrived, failed
}

// ship takes a parcel that has left to IN_TRANSIT, unless its order does not let it: then
// it is to be stopped.
func (w *work) ship(ctx context.Context, left time.Time, actor string) error {
	s := w.shipment
	err := w.store.orders.RecordShipped(ctx, w.tx, w.at, s.OrderID, s.ID, s.quantities(), actor)
	var refused *lifecycle.RefusedError
	if errors.As(err, &refused) {
		return w.fail(ctx, exceptionOrder, "the order is "+refused.State, actorOrder)
	}
	if err != nil {
		return err
	}
	s.ShippedAt = &left
	return w.step(Ship, actor, "")
}

// deliver ends a parcel that has arrived. The parcel is there whatever its order says.
func (w *work) deliver(ctx context.Context, event Event, arrived time.Time, actor string) error {
	s := w.shipment
	err := w.store.orders.RecordDelivered(ctx, w.tx, w.at, s.OrderID, s.ID, s.quantities(), actor)
	var refused *lifecycle.RefusedError
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	if arrived.Before(*s.ShippedAt) {
		arrived = *s.ShippedAt
	}
	s.DeliveredAt, s.Exception = &arrived, ""
	return w.step(event, actor, "")
}

// fail ends a parcel that has not left and gives its units back to the order. Unless the carrier
// itself has refused it, the carrier is to be told, whether or not it ever heard of it.
func (w *work) fail(ctx context.Context, exception, detail, actor string) error {
	s := w.shipment
	reason := exception
	if detail != "" {
		reason += ": " + detail
	}
	if err := w.step(Fail, actor, reason); err != nil {
		return err
	}
	if err := w.store.orders.UnreserveShipment(ctx, w.tx, w.at, s.OrderID, s.quantities()); err != nil {
		return fmt.Errorf("giving units back: %w", err)
	}
	asked := s.Work
	s.Exception, s.Work, s.Attempts = exception, NoWork, 0
	if asked != NoWork && exception != exceptionRefused {
		s.Work, s.DueAt = CancelWork, w.at
	}
	return nil
}

// schedule plans when the carrier is asked again.
func (w *work) schedule() {
	s := w.shipment
	if s.Work != TrackWork {
		return
	}
	if s.State == Delivered || s.State == Exception {
		s.Work = NoWork
		return
	}
	s.DueAt = w.at.Add(w.store.interval(s, w.at))
}

// interval is how long a parcel is not asked for: the longer the older it is, because a carrier
// that never says where one is must not be asked for ever as for one that left today.
func (s *Store) interval(of *Shipment, at time.Time) time.Duration {
	return min(max(s.pollInterval, at.Sub(of.CreatedAt)/intervalsOfAge), maxPollInterval)
}

// accept takes what the carrier answered to our request. What it has pushed may have been quicker.
func (w *work) accept(trackingNumber string) error {
	s := w.shipment
	if s.Work != RequestWork {
		// It was given up or taken back while the carrier was asked: the carrier has it now, and
		// must not collect it.
		if s.State == Exception {
			s.Work, s.DueAt, s.Attempts = CancelWork, w.at, 0
		}
		return nil
	}
	if s.State == Requested {
		if err := w.step(Accept, "carrier "+s.Carrier, ""); err != nil {
			return err
		}
	}
	s.TrackingNumber, s.Work, s.Attempts = trackingNumber, TrackWork, 0
	w.numbered = true
	w.schedule()
	return nil
}

// giveUp ends a request that the carrier has not taken. If the parcel has left nevertheless,
// it is only followed.
func (w *work) giveUp(ctx context.Context, exception, detail string) error {
	s := w.shipment
	switch {
	case s.Work != RequestWork:
		return nil
	case s.State == Requested:
		return w.fail(ctx, exception, detail, actorWorker)
	}
	s.Work, s.Attempts = TrackWork, 0
	w.schedule()
	return nil
}

// conflict tells whether an error of reserving units is the order's state's, and which one.
func conflict(err error) (order.State, bool) {
	var refused *lifecycle.RefusedError
	if errors.As(err, &refused) {
		return order.State(refused.State), true
	}
	return "", false
}
