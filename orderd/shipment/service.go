package shipment

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/auth"
	"github.com/orderd-dev/orderd/orderd/carrier"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/order"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const defaultPageSize = 20

// Service is the handler of ShipmentService. Requests reach it validated.
type Service struct{ store *Store }

// NewService makes the handler.
func NewService(store *Store) *Service { return &Service{store: store} }

// CreateShipment requests a shipment once a request id.
func (s *Service) CreateShipment(ctx context.Context, req *shipmentv1.CreateShipmentRequest) (*shipmentv1.CreateShipmentResponse, error) {
	want, err := s.wish(ctx, req)
	if err != nil {
		return nil, err
	}
	answer := &shipmentv1.CreateShipmentResponse{}
	var made *work
	err = s.once(ctx, req.GetRequestId(), req, answer, func(tx *database.Tx) error {
		made = nil
		w, err := s.store.request(ctx, tx, database.Stamp(s.store.now()), want)
		if err != nil {
			return err
		}
		if want.trackingNumber != "" {
			if err := w.handedOver(ctx, want.actor); err != nil {
				return err
			}
		}
		made, answer.Shipment = w, w.shipment.proto()
		return nil
	})
	if err != nil {
		return nil, rpcError(err)
	}
	if made != nil {
		made.done()
	}
	return answer, nil
}

func (s *Service) wish(ctx context.Context, req *shipmentv1.CreateShipmentRequest) (wish, error) {
	id, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return wish{}, order.NotFound()
	}
	want := wish{orderID: id, source: "request:" + req.GetRequestId(), carrier: req.GetCarrier(), trackingNumber: req.GetTrackingNumber(), actor: actor(ctx)}
	if want.carrier == "" {
		want.carrier = s.store.first
	}
	_, known := s.store.carriers[want.carrier]
	switch {
	case known && want.trackingNumber != "":
		return wish{}, rpcerr.New(connect.CodeInvalidArgument, "TRACKING_NUMBER_NOT_YOURS", "this carrier gives its tracking numbers itself", "field", "tracking_number")
	case !known && (want.trackingNumber == "" || want.carrier == ""):
		return wish{}, rpcerr.New(connect.CodeInvalidArgument, "CARRIER_UNKNOWN", "no such carrier is configured; a parcel that was handed over without one needs the carrier's name and its tracking number", "field", "carrier")
	}
	for _, l := range req.GetLines() {
		want.lines = append(want.lines, order.LineQuantity{Line: l.GetLine(), Quantity: l.GetQuantity()})
	}
	return want, nil
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

// ListShipments returns a page of shipments, oldest first.
func (s *Service) ListShipments(ctx context.Context, req *shipmentv1.ListShipmentsRequest) (*shipmentv1.ListShipmentsResponse, error) {
	after, last, err := parsePageToken(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPageSize
	}
	// One more than asked for tells whether there is a next page.
	condition, args := "WHERE (created_at, shipment_id) > ($1, $2)", []any{after, last, size + 1}
	switch {
	case req.GetOrderId() != "":
		// An order has few: their states are compared here.
		condition, args = condition+" AND order_id = $4 AND ($5::text = '' OR state = $5)", append(args, req.GetOrderId(), stateName(req.GetState()))
	case req.GetState() != 0:
		condition, args = condition+" AND state = $4", append(args, stateName(req.GetState()))
	}
	shipments, err := load(ctx, s.store.pool, condition+" ORDER BY created_at, shipment_id LIMIT $3", args...)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &shipmentv1.ListShipmentsResponse{}
	if len(shipments) > size {
		shipments = shipments[:size]
		answer.NextPageToken = pageToken(shipments[size-1])
	}
	answer.Shipments = protos(shipments)
	return answer, nil
}

// GetShipment returns what is stored of a shipment.
func (s *Service) GetShipment(ctx context.Context, req *shipmentv1.GetShipmentRequest) (*shipmentv1.GetShipmentResponse, error) {
	id, err := uuid.Parse(req.GetShipmentId())
	if err != nil {
		return nil, rpcError(errNotFound)
	}
	sh, err := get(ctx, s.store.pool, id)
	if err != nil {
		return nil, rpcError(err)
	}
	events, err := loadEvents(ctx, s.store.pool, id)
	if err != nil {
		return nil, rpcError(err)
	}
	history, err := loadHistory(ctx, s.store.pool, id)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &shipmentv1.GetShipmentResponse{Shipment: sh.proto(), Events: eventsProto(events)}
	for _, h := range history {
		answer.Changes = append(answer.Changes, &shipmentv1.ShipmentChange{
			Version: h.Version, Event: h.Event, From: h.From.proto(), To: h.To.proto(), Actor: h.Actor, Reason: h.Reason, At: timestamppb.New(h.At),
		})
	}
	return answer, nil
}

// RecordShipmentEvent records what staff say of a parcel, once a request id.
func (s *Service) RecordShipmentEvent(ctx context.Context, req *shipmentv1.RecordShipmentEventRequest) (*shipmentv1.RecordShipmentEventResponse, error) {
	answer := &shipmentv1.RecordShipmentEventResponse{}
	err := s.change(ctx, req.GetRequestId(), req.GetShipmentId(), req, answer, func(w *work) error {
		e := carrier.Event{
			ID: "staff:" + uuid.NewSHA1(uuid.NameSpaceOID, []byte(req.GetRequestId())).String(), Code: carrier.Code(strings.TrimPrefix(req.GetCode().String(), "SHIPMENT_EVENT_CODE_")),
			Description: req.GetDescription(), Location: req.GetLocation(), At: w.at,
		}
		if req.GetAt() != nil {
			e.At = database.Stamp(req.GetAt().AsTime())
		}
		err := w.record(ctx, report{actor: actor(ctx), events: []carrier.Event{e}})
		answer.Shipment = w.shipment.proto()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// CancelShipment takes a shipment back that has not left, once a request id.
func (s *Service) CancelShipment(ctx context.Context, req *shipmentv1.CancelShipmentRequest) (*shipmentv1.CancelShipmentResponse, error) {
	answer := &shipmentv1.CancelShipmentResponse{}
	err := s.change(ctx, req.GetRequestId(), req.GetShipmentId(), req, answer, func(w *work) error {
		if w.shipment.State != Requested {
			return rpcerr.New(connect.CodeFailedPrecondition, "SHIPMENT_STATE_CONFLICT", "the shipment has left, or ended", "state", string(w.shipment.State))
		}
		err := w.fail(ctx, exceptionStaff, "", actor(ctx))
		answer.Shipment = w.shipment.proto()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// change does something to a shipment once a request; do fills the answer.
func (s *Service) change(ctx context.Context, requestID, shipmentID string, req, answer proto.Message, do func(*work) error) error {
	id, err := uuid.Parse(shipmentID)
	if err != nil {
		return rpcError(errNotFound)
	}
	var made *work
	err = s.once(ctx, requestID, req, answer, func(tx *database.Tx) error {
		made = nil
		w, err := s.store.begin(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := do(w); err != nil {
			return err
		}
		made = w
		return w.write(ctx)
	})
	if err != nil {
		return rpcError(err)
	}
	if made != nil {
		made.done()
	}
	return nil
}

// once runs effect in a transaction once a request id of the staff; effect fills the answer. The request id is claimed first, because its
// row is locked before any other, and gets its answer at the end.
func (s *Service) once(ctx context.Context, requestID string, req, answer proto.Message, effect func(*database.Tx) error) error {
	request, err := idempotency.NewRequest(idempotency.StaffScope, requestID, req)
	if err != nil {
		return err
	}
	return idempotency.Do(ctx, s.store.pool, request, answer, func(tx *database.Tx) error {
		proto.Reset(answer)
		var claim, fill pgx.Batch
		if err := request.Claim(&claim, database.Stamp(s.store.now()), answer); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, &claim).Close(); err != nil {
			return err
		}
		if err := effect(tx); err != nil {
			return err
		}
		if err := request.Replace(&fill, answer); err != nil {
			return err
		}
		return tx.SendBatch(ctx, &fill).Close()
	})
}

// ListOrderShipments returns the shipments of a buyer's order.
func (s *Service) ListOrderShipments(ctx context.Context, req *shipmentv1.ListOrderShipmentsRequest) (*shipmentv1.ListOrderShipmentsResponse, error) {
	id, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, order.NotFound()
	}
	if _, err := order.GetDue(ctx, s.store.pool, req.GetBuyerId(), id); err != nil {
		return nil, rpcError(err)
	}
	shipments, err := load(ctx, s.store.pool, "WHERE order_id = $1 AND buyer_id = $2 ORDER BY created_at, shipment_id LIMIT $3", id, req.GetBuyerId(), maxShipments)
	if err != nil {
		return nil, rpcError(err)
	}
	return &shipmentv1.ListOrderShipmentsResponse{Shipments: protos(shipments)}, nil
}

// TrackShipment says where a buyer's parcel is.
func (s *Service) TrackShipment(ctx context.Context, req *shipmentv1.TrackShipmentRequest) (*shipmentv1.TrackShipmentResponse, error) {
	id, err := uuid.Parse(req.GetShipmentId())
	if err != nil {
		return nil, rpcError(errNotFound)
	}
	t, err := s.store.track(ctx, req.GetBuyerId(), id)
	if err != nil {
		return nil, rpcError(err)
	}
	return t.proto(s.store.now()), nil
}

func protos(shipments []*Shipment) []*shipmentv1.Shipment {
	out := make([]*shipmentv1.Shipment, len(shipments))
	for i, sh := range shipments {
		out[i] = sh.proto()
	}
	return out
}

// actor is who of the staff acts, for the history.
func actor(ctx context.Context) string {
	if caller, ok := auth.CallerFrom(ctx); ok {
		return actorStaff + " " + caller.Subject
	}
	return actorStaff
}

func stateName(s shipmentv1.ShipmentState) string {
	if s == 0 {
		return ""
	}
	return strings.TrimPrefix(s.String(), "SHIPMENT_STATE_")
}

// pageToken names the last shipment of a page.
func pageToken(last *Shipment) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(last.CreatedAt.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(raw, last.ID[:]...))
}

func parsePageToken(token string) (time.Time, uuid.UUID, error) {
	if token == "" {
		return time.UnixMicro(0), uuid.Nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil && len(raw) == 8+len(uuid.UUID{}) {
		if at := time.UnixMicro(int64(binary.BigEndian.Uint64(raw))).UTC(); at.Year() >= 1970 && at.Year() <= 9999 {
			return at, uuid.UUID(raw[8:]), nil
		}
	}
	return time.Time{}, uuid.Nil, rpcerr.New(connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN", "page_token is not from an answer of ListShipments", "field", "page_token")
}

func rpcError(err error) error {
	state, orderRefused := conflict(err)
	switch {
	case errors.Is(err, errNotFound):
		return rpcerr.New(connect.CodeNotFound, "SHIPMENT_NOT_FOUND", "there is no such shipment")
	case errors.Is(err, order.ErrNotFound):
		return order.NotFound()
	case errors.Is(err, order.ErrNoAddress):
		return rpcerr.New(connect.CodeFailedPrecondition, "ADDRESS_MISSING", "the order has no address yet")
	case errors.Is(err, order.ErrNothingLeft), errors.Is(err, order.ErrQuantity):
		return rpcerr.New(connect.CodeFailedPrecondition, "NOTHING_LEFT_TO_SHIP", "the order has not as many units left to be shipped")
	case errors.Is(err, errTooMany):
		return rpcerr.New(connect.CodeResourceExhausted, "TOO_MANY_SHIPMENTS", "the order has too many shipments")
	case orderRefused:
		return order.Conflict(state)
	}
	return database.RPCError(err)
}
