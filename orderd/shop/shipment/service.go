package shipment

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
)

const defaultPageSize = 20

// Service is the handler of ShipmentService. Requests reach it validated.
type Service struct{ store *Store }

// NewService makes the handler.
func NewService(store *Store) *Service { return &Service{store: store} }

// CreateShipment requests a shipment once a request id.
func (s *Service) CreateShipment(
	ctx context.Context, req *shipmentv1.CreateShipmentRequest,
) (*shipmentv1.CreateShipmentResponse, error) {
	want, err := s.wish(ctx, req)
	if err != nil {
		return nil, err
	}
	return once(ctx, s, req, func(tx *database.Tx) (*shipmentv1.CreateShipmentResponse, error) {
		w, err := s.store.request(ctx, tx, database.Stamp(s.store.now()), want)
		if err == nil && want.trackingNumber != "" {
			err = w.handedOver(ctx, want.actor)
		}
		if err != nil {
			return nil, err
		}
		return &shipmentv1.CreateShipmentResponse{Shipment: w.shipment.proto()}, nil
	})
}

func (s *Service) wish(ctx context.Context, req *shipmentv1.CreateShipmentRequest) (wish, error) {
	id, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return wish{}, order.NotFound()
	}
	want := wish{
		orderID:        id,
		source:         "request:" + req.GetRequestId(),
		carrier:        cmp.Or(req.GetCarrier(), s.store.first),
		trackingNumber: req.GetTrackingNumber(),
		actor:          auth.StaffActor(ctx),
	}
	if err := s.store.check(want); err != nil {
		return wish{}, err
	}
	for _, l := range req.GetLines() {
		want.lines = append(want.lines, order.LineQuantity{Line: l.GetLine(), Quantity: l.GetQuantity()})
	}
	return want, nil
}

// ListShipments returns a page of shipments, oldest first.
func (s *Service) ListShipments(
	ctx context.Context, req *shipmentv1.ListShipmentsRequest,
) (*shipmentv1.ListShipmentsResponse, error) {
	after := position{createdAt: time.UnixMicro(0)}
	if _, err := page.Parse(req.GetPageToken(), &after.createdAt, &after.id); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	// One more than asked for tells whether there is a next page.
	shipments, err := list(ctx, s.store.pool, after, req.GetOrderId(), stateName(req.GetState()), size+1)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &shipmentv1.ListShipmentsResponse{}
	shipments, answer.NextPageToken = page.Cut(shipments, size,
		func(last *Shipment) []any { return []any{last.CreatedAt, last.ID} })
	answer.Shipments = protos(shipments)
	return answer, nil
}

// GetShipment returns what is stored of a shipment.
func (s *Service) GetShipment(
	ctx context.Context, req *shipmentv1.GetShipmentRequest,
) (*shipmentv1.GetShipmentResponse, error) {
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
			Version: h.Version,
			Event:   h.Event,
			From:    h.From.proto(),
			To:      h.To.proto(),
			Actor:   h.Actor,
			Reason:  h.Reason,
			At:      timestamppb.New(h.At),
		})
	}
	return answer, nil
}

// RecordShipmentEvent records what staff say of a parcel, once a request id.
func (s *Service) RecordShipmentEvent(
	ctx context.Context, req *shipmentv1.RecordShipmentEventRequest,
) (*shipmentv1.RecordShipmentEventResponse, error) {
	record := func(w *work) error {
		e := carrier.Event{
			ID:          "staff:" + uuid.NewSHA1(uuid.NameSpaceOID, []byte(req.GetRequestId())).String(),
			Code:        carrier.Code(strings.TrimPrefix(req.GetCode().String(), "SHIPMENT_EVENT_CODE_")),
			Description: req.GetDescription(), Location: req.GetLocation(), At: w.at,
		}
		if req.GetAt() != nil {
			e.At = database.Stamp(req.GetAt().AsTime())
		}
		return w.record(ctx, report{actor: auth.StaffActor(ctx), events: []carrier.Event{e}})
	}
	return changeOne(ctx, s, req, record, func(sh *shipmentv1.Shipment) *shipmentv1.RecordShipmentEventResponse {
		return &shipmentv1.RecordShipmentEventResponse{Shipment: sh}
	})
}

// CancelShipment takes a shipment back that has not left, once a request id.
func (s *Service) CancelShipment(
	ctx context.Context, req *shipmentv1.CancelShipmentRequest,
) (*shipmentv1.CancelShipmentResponse, error) {
	cancel := func(w *work) error {
		if state := w.shipment.State; state != Requested {
			const text = "the shipment has left, or ended"
			return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonShipmentStateConflict, text, "state", string(state))
		}
		return w.fail(ctx, exceptionStaff, "", auth.StaffActor(ctx))
	}
	return changeOne(ctx, s, req, cancel, func(sh *shipmentv1.Shipment) *shipmentv1.CancelShipmentResponse {
		return &shipmentv1.CancelShipmentResponse{Shipment: sh}
	})
}

// staffRequest is what every mutation by staff has.
type staffRequest interface {
	proto.Message
	GetRequestId() string
}

// changeOne does something to the shipment that the request names, once a request id.
func changeOne[A proto.Message](
	ctx context.Context, s *Service, req interface {
		staffRequest
		GetShipmentId() string
	}, do func(*work) error, answer func(*shipmentv1.Shipment) A,
) (A, error) {
	var none A
	id, err := uuid.Parse(req.GetShipmentId())
	if err != nil {
		return none, rpcError(errNotFound)
	}
	return once(ctx, s, req, func(tx *database.Tx) (A, error) {
		sh, err := s.store.changeIn(ctx, tx, id, do)
		if err != nil {
			return none, err
		}
		return answer(sh.proto()), nil
	})
}

// once runs effect in a transaction once a request id of the staff.
func once[A proto.Message](
	ctx context.Context, s *Service, req staffRequest, effect func(*database.Tx) (A, error),
) (A, error) {
	var none A
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return none, rpcError(err)
	}
	answer, err := idempotency.Once(ctx, s.store.pool, request, database.Stamp(s.store.now()), effect)
	if err != nil {
		return none, rpcError(err)
	}
	return answer, nil
}

// ListOrderShipments returns the shipments of a buyer's order.
func (s *Service) ListOrderShipments(
	ctx context.Context, req *shipmentv1.ListOrderShipmentsRequest,
) (*shipmentv1.ListOrderShipmentsResponse, error) {
	id, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, order.NotFound()
	}
	if _, err := order.GetDue(ctx, s.store.pool, req.GetBuyerId(), id); err != nil {
		return nil, rpcError(err)
	}
	shipments, err := ofBuyer(ctx, s.store.pool, id, req.GetBuyerId())
	if err != nil {
		return nil, rpcError(err)
	}
	return &shipmentv1.ListOrderShipmentsResponse{Shipments: protos(shipments)}, nil
}

// TrackShipment says where a buyer's parcel is.
func (s *Service) TrackShipment(
	ctx context.Context, req *shipmentv1.TrackShipmentRequest,
) (*shipmentv1.TrackShipmentResponse, error) {
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

func stateName(s shipmentv1.ShipmentState) string {
	if s == 0 {
		return ""
	}
	return strings.TrimPrefix(s.String(), "SHIPMENT_STATE_")
}

func rpcError(err error) error {
	state, orderRefused := conflict(err)
	switch {
	case errors.Is(err, errNotFound):
		return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonShipmentNotFound, "there is no such shipment")
	case errors.Is(err, order.ErrNotFound):
		return order.NotFound()
	case errors.Is(err, order.ErrNoAddress):
		return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonAddressMissing, "the order has no address yet")
	case errors.Is(err, order.ErrNothingLeft), errors.Is(err, order.ErrQuantity):
		return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonNothingLeftToShip,
			"the order has not as many units left to be shipped")
	case errors.Is(err, errTooMany):
		return rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyShipments, "the order has too many shipments")
	case orderRefused:
		return order.Conflict(state)
	}
	return database.RPCError(err)
}
