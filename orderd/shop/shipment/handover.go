package shipment

import (
	"cmp"
	"context"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
)

// HandedOver is a parcel of all that is left of an order, which staff have given to a carrier that is not configured.
type HandedOver struct {
	OrderID uuid.UUID
	// Source is what tells of it: unique within the order, and in the parcel's history as the reason.
	Source string
	// Carrier may be empty only where one is configured, which is then refused: it gives its numbers itself.
	Carrier, TrackingNumber string
	// Actor goes to the histories of the parcel and of its order.
	Actor string
}

// RecordHandedOver records a parcel that has left, in the caller's transaction, as CreateShipment with a tracking
// number does, and returns its id. [RPCError] is what a caller sees of its errors.
func (s *Store) RecordHandedOver(
	ctx context.Context, tx *database.Tx, at time.Time, h HandedOver,
) (uuid.UUID, error) {
	want := wish{
		orderID: h.OrderID, source: h.Source, carrier: cmp.Or(h.Carrier, s.first), trackingNumber: h.TrackingNumber,
		actor: h.Actor,
	}
	if err := s.check(want); err != nil {
		return uuid.Nil, err
	}
	w, err := s.request(ctx, tx, database.Stamp(at), want)
	if err != nil {
		return uuid.Nil, err
	}
	return w.shipment.ID, w.handedOver(ctx, h.Actor)
}

// check tells whether the carrier may have, or needs, a tracking number.
func (s *Store) check(want wish) error {
	_, known := s.carriers[want.carrier]
	switch {
	case known && want.trackingNumber != "":
		return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonTrackingNumberNotYours,
			"this carrier gives its tracking numbers itself", "field", "tracking_number")
	case !known && (want.trackingNumber == "" || want.carrier == ""):
		const text = "no such carrier is configured; a parcel that was handed over without one needs " +
			"the carrier's name and its tracking number"
		return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonCarrierUnknown, text, "field", "carrier")
	}
	return nil
}

// handedOver records that a parcel has left that staff gave to a carrier themselves.
func (w *work) handedOver(ctx context.Context, actor string) error {
	collected := carrier.Event{ID: "handed-over", Code: carrier.Collected, At: w.at}
	before := len(w.changes)
	if err := w.record(ctx, report{actor: actor, events: []carrier.Event{collected}}); err != nil {
		return err
	}
	return update(ctx, w.tx, w.shipment, w.changes[before:])
}

// RPCError is what a caller sees of this package's errors.
func RPCError(err error) error { return rpcError(err) }
