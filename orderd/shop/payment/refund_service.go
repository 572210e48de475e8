package payment

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/kit/pb"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// GetRefund returns a refund of a buyer's order.
func (s *Service) GetRefund(
	ctx context.Context, req *paymentv1.GetRefundRequest,
) (*paymentv1.GetRefundResponse, error) {
	id, err := uuid.Parse(req.GetRefundId())
	if err != nil {
		return nil, refundError(errRefundNotFound)
	}
	found, err := getRefundOf(ctx, s.pool, req.GetBuyerId(), id)
	if err != nil {
		return nil, refundError(err)
	}
	return &paymentv1.GetRefundResponse{Refund: found.proto(false)}, nil
}

// ListOrderRefunds lists the refunds of a buyer's order, the oldest first.
func (s *Service) ListOrderRefunds(
	ctx context.Context, req *paymentv1.ListOrderRefundsRequest,
) (*paymentv1.ListOrderRefundsResponse, error) {
	orderID, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, refundError(errRefundNotFound)
	}
	list := refundsOfOrder(orderID, req.GetBuyerId())
	refunds, next, err := s.pageOfRefunds(ctx, list, req.GetPageToken(), req.GetPageSize())
	if err != nil {
		return nil, refundError(err)
	}
	return &paymentv1.ListOrderRefundsResponse{Refunds: refundProtos(refunds, false), NextPageToken: next}, nil
}

// ListRefunds lists the refunds in a state for staff, the oldest first.
func (s *Service) ListRefunds(
	ctx context.Context, req *paymentv1.ListRefundsRequest,
) (*paymentv1.ListRefundsResponse, error) {
	list := refundsInState(req.GetState().String()[len("REFUND_STATE_"):])
	refunds, next, err := s.pageOfRefunds(ctx, list, req.GetPageToken(), req.GetPageSize())
	if err != nil {
		return nil, refundError(err)
	}
	return &paymentv1.ListRefundsResponse{Refunds: refundProtos(refunds, true), NextPageToken: next}, nil
}

// pageOfRefunds reads a page of a list, and the token of the next.
func (s *Service) pageOfRefunds(
	ctx context.Context, list refundList, token string, asked int32,
) ([]*Refund, string, error) {
	var at time.Time
	var id uuid.UUID
	if _, err := page.Parse(token, &at, &id); err != nil {
		return nil, "", err
	}
	size := page.Size(asked, defaultPageSize)
	refunds, err := listRefunds(ctx, s.pool, list, at, id, size+1)
	if err != nil {
		return nil, "", err
	}
	refunds, next := page.Cut(refunds, size, func(last *Refund) []any { return []any{last.CreatedAt, last.ID} })
	return refunds, next, nil
}

// RetryRefund has a failed refund tried again, once a request id.
func (s *Service) RetryRefund(
	ctx context.Context, req *paymentv1.RetryRefundRequest,
) (*paymentv1.RetryRefundResponse, error) {
	id, err := uuid.Parse(req.GetRefundId())
	if err != nil {
		return nil, refundError(errRefundNotFound)
	}
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	next, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	now := database.Stamp(s.now())
	actor, reason := auth.StaffActor(ctx), "by request "+req.GetRequestId()
	answer, err := idempotency.Once(ctx, s.pool, request, now,
		func(tx *database.Tx) (*paymentv1.RetryRefundResponse, error) {
			r, err := getRefund(ctx, tx, id)
			if err != nil {
				return nil, err
			}
			c, err := r.retry(now, actor, reason, next)
			if err != nil {
				return nil, err
			}
			r.Failures = 0
			tx.AfterCommit(func() { s.metrics.countRefund(c) })
			return &paymentv1.RetryRefundResponse{Refund: r.proto(true)}, updateRefund(ctx, tx, r, c)
		})
	if err != nil {
		return nil, refundError(err)
	}
	return answer, nil
}

// proto is the refund for its buyer, or for staff.
func (r *Refund) proto(forStaff bool) *paymentv1.Refund {
	out := &paymentv1.Refund{
		RefundId: r.ID.String(), OrderId: r.OrderID.String(), PaymentId: r.PaymentID.String(), Provider: r.Provider,
		State: r.State.refundProto(), Amount: money(r.Amount, r.Currency), Reason: r.Reason,
		CreatedAt: timestamppb.New(r.CreatedAt), SucceededAt: pb.Time(r.SucceededAt),
	}
	if forStaff {
		out.Failure, out.Failures = r.Failure, r.Failures
		out.ProviderRefundId, out.NextAttemptAt = r.ProviderRefundID, pb.Time(r.NextAttemptAt)
	}
	return out
}

func refundProtos(refunds []*Refund, forStaff bool) []*paymentv1.Refund {
	out := make([]*paymentv1.Refund, len(refunds))
	for i, r := range refunds {
		out[i] = r.proto(forStaff)
	}
	return out
}

// retry takes a failed refund back to REQUESTED in memory. next is the id to ask with if the provider
// is done with the last one.
func (r *Refund) retry(now time.Time, actor, reason string, next uuid.UUID) (change, error) {
	c, err := stepRefund(r, Retry, now, actor, reason)
	if err != nil {
		return change{}, err
	}
	if r.FailureFinal {
		r.AskedAs, r.FailureFinal = &next, false
	}
	r.NextAttemptAt = &now
	return c, nil
}

func refundError(err error) error {
	var refused *lifecycle.RefusedError
	switch {
	case errors.Is(err, errRefundNotFound):
		return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonRefundNotFound, "there is no such refund")
	case errors.As(err, &refused):
		return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonRefundStateConflict,
			"only a FAILED refund can be tried again", "state", refused.State)
	case errors.Is(err, errStale):
		return rpcerr.Retry(connect.CodeAborted, rpcerr.ReasonRefundChanged,
			"the refund was changed meanwhile; retry with the same request id", time.Second)
	}
	return database.RPCError(err)
}
