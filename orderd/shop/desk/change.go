package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
)

// request is what all changes have.
type request interface {
	proto.Message
	GetRequestId() string
	GetOrderId() string
}

// response is what all changes are answered.
type response interface {
	proto.Message
	GetOrder() *orderv1.Order
}

// once makes a change once a request id, in a transaction. The answer is stored whole, and masked for whoever asks.
func once[A response](
	ctx context.Context, s *Service, req request, reason string, version int64,
	do func(*database.Tx, order.StaffChange) (A, error),
) (A, error) {
	var none A
	id, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return none, rpcError(order.ErrNotFound)
	}
	known, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return none, rpcError(err)
	}
	c := order.StaffChange{OrderID: id, Version: version, Actor: auth.StaffActor(ctx), Reason: reason}
	answer, err := idempotency.Once(ctx, s.pool, known, database.Stamp(s.now()), func(tx *database.Tx) (A, error) {
		return do(tx, c)
	})
	if err != nil {
		return none, rpcError(err)
	}
	maskOrder(ctx, answer.GetOrder())
	return answer, nil
}

// CancelOrder cancels an order that nothing has left of.
func (s *Service) CancelOrder(
	ctx context.Context, req *deskv1.CancelOrderRequest,
) (*deskv1.CancelOrderResponse, error) {
	return once(ctx, s, req, req.GetReason(), req.GetVersion(),
		func(tx *database.Tx, c order.StaffChange) (*deskv1.CancelOrderResponse, error) {
			o, err := s.orders.CancelByStaff(ctx, tx, s.now(), c)
			return &deskv1.CancelOrderResponse{Order: o}, err
		})
}

// RefundUnits gives back what was paid for units that no parcel has.
func (s *Service) RefundUnits(
	ctx context.Context, req *deskv1.RefundUnitsRequest,
) (*deskv1.RefundUnitsResponse, error) {
	lines := make([]order.LineQuantity, len(req.GetLines()))
	for i, l := range req.GetLines() {
		lines[i] = order.LineQuantity{Line: l.GetLine(), Quantity: l.GetQuantity()}
	}
	return once(ctx, s, req, req.GetReason(), req.GetVersion(),
		func(tx *database.Tx, c order.StaffChange) (*deskv1.RefundUnitsResponse, error) {
			o, granted, err := s.orders.RefundUnits(ctx, tx, s.now(), c, grantKey(req.GetRequestId()), lines, req.GetRestock())
			return &deskv1.RefundUnitsResponse{
				Order: o, Amount: &moneyv1.Money{Amount: granted.Amount, Currency: granted.Currency},
			}, err
		})
}

// grantKey names a refund in its order by the request that asked for it.
func grantKey(requestID string) string {
	sum := sha256.Sum256([]byte(requestID))
	return "staff-" + hex.EncodeToString(sum[:16])
}

// SetDelivery gives an order another address.
func (s *Service) SetDelivery(
	ctx context.Context, req *deskv1.SetDeliveryRequest,
) (*deskv1.SetDeliveryResponse, error) {
	wanted, err := quote.NewDelivery(req.GetDelivery())
	if err != nil {
		return nil, rpcError(err)
	}
	return once(ctx, s, req, req.GetReason(), req.GetVersion(),
		func(tx *database.Tx, c order.StaffChange) (*deskv1.SetDeliveryResponse, error) {
			o, err := s.orders.DeliverByStaff(ctx, tx, s.now(), c, wanted)
			return &deskv1.SetDeliveryResponse{Order: o}, err
		})
}

// TagOrder puts tags on an order and takes others off.
func (s *Service) TagOrder(ctx context.Context, req *deskv1.TagOrderRequest) (*deskv1.TagOrderResponse, error) {
	return once(ctx, s, req, req.GetReason(), req.GetVersion(),
		func(tx *database.Tx, c order.StaffChange) (*deskv1.TagOrderResponse, error) {
			o, err := s.orders.TagByStaff(ctx, tx, s.now(), c, req.GetAdd(), req.GetRemove())
			return &deskv1.TagOrderResponse{Order: o}, err
		})
}

// AddNote adds a note for colleagues.
func (s *Service) AddNote(ctx context.Context, req *deskv1.AddNoteRequest) (*deskv1.AddNoteResponse, error) {
	note := order.Note{Text: req.GetText(), Author: auth.StaffActor(ctx), At: database.Stamp(s.now())}
	if caller, ok := auth.CallerFrom(ctx); ok {
		note.Author = caller.Subject
	}
	return once(ctx, s, req, "", 0, func(tx *database.Tx, c order.StaffChange) (*deskv1.AddNoteResponse, error) {
		o, err := s.orders.NoteByStaff(ctx, tx, s.now(), c, note)
		return &deskv1.AddNoteResponse{Note: noteProto(note), Order: o}, err
	})
}
