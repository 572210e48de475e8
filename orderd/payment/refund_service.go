package payment

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/auth"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/lifecycle"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

var errRefundNotFound = errors.New("refund not found")

// GetRefund returns a refund of a buyer's order.
func (s *Service) GetRefund(ctx context.Context, req *paymentv1.GetRefundRequest) (*paymentv1.GetRefundResponse, error) {
	id, err := uuid.Parse(req.GetRefundId())
	if err != nil {
		return nil, refundError(errRefundNotFound)
	}
	refunds, err := loadRefunds(ctx, s.pool, "WHERE r.refund_id = $1 AND p.buyer_id = $2", id, req.GetBuyerId())
	if err == nil && len(refunds) == 0 {
		err = errRefundNotFound
	}
	if err != nil {
		return nil, refundError(err)
	}
	return &paymentv1.GetRefundResponse{Refund: refunds[0].proto(false)}, nil
}

// ListOrderRefunds lists the refunds of a buyer's order, the oldest first.
func (s *Service) ListOrderRefunds(ctx context.Context, req *paymentv1.ListOrderRefundsRequest) (*paymentv1.ListOrderRefundsResponse, error) {
	order, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, refundError(errRefundNotFound)
	}
	page, next, err := s.pageOfRefunds(ctx, req.GetPageToken(), req.GetPageSize(), "r.order_id = $4 AND p.buyer_id = $5", order, req.GetBuyerId())
	if err != nil {
		return nil, refundError(err)
	}
	return &paymentv1.ListOrderRefundsResponse{Refunds: refundProtos(page, false), NextPageToken: next}, nil
}

// ListRefunds lists the refunds in a state for staff, the oldest first.
func (s *Service) ListRefunds(ctx context.Context, req *paymentv1.ListRefundsRequest) (*paymentv1.ListRefundsResponse, error) {
	state := req.GetState().String()[len("REFUND_STATE_"):]
	page, next, err := s.pageOfRefunds(ctx, req.GetPageToken(), req.GetPageSize(), "r.state = $4", state)
	if err != nil {
		return nil, refundError(err)
	}
	return &paymentv1.ListRefundsResponse{Refunds: refundProtos(page, true), NextPageToken: next}, nil
}

// pageOfRefunds reads a page of the refunds that a condition with its arguments from $4 on selects.
func (s *Service) pageOfRefunds(ctx context.Context, token string, asked int32, condition string, args ...any) ([]*Refund, string, error) {
	after, err := parseCursor(token, cursor{ID: uuid.Nil.String()})
	if err != nil {
		return nil, "", err
	}
	id, err := uuid.Parse(after.ID)
	if err != nil {
		return nil, "", invalidToken()
	}
	size := pageSize(asked)
	page, err := loadRefunds(ctx, s.pool, "WHERE "+condition+" AND (r.created_at, r.refund_id) > ($1::timestamptz, $2::uuid) ORDER BY r.created_at, r.refund_id LIMIT $3",
		append([]any{after.At, id, size + 1}, args...)...)
	if err != nil || len(page) <= size {
		return page, "", err
	}
	page = page[:size]
	last := page[size-1]
	return page, cursor{At: last.CreatedAt, ID: last.ID.String()}.token(), nil
}

// RetryRefund has a failed refund tried again, once a request id.
func (s *Service) RetryRefund(ctx context.Context, req *paymentv1.RetryRefundRequest) (*paymentv1.RetryRefundResponse, error) {
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
	answer := &paymentv1.RetryRefundResponse{}
	var done *change
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		done = nil
		refunds, err := loadRefunds(ctx, tx, "WHERE r.refund_id = $1", id)
		if err != nil {
			return err
		}
		if len(refunds) == 0 {
			return errRefundNotFound
		}
		r, now := refunds[0], database.Stamp(s.now())
		c, err := r.retry(now, staff(ctx), "by request "+req.GetRequestId(), next)
		if err != nil {
			return err
		}
		r.Failures = 0
		answer.Refund = r.proto(true)
		var b pgx.Batch
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		done = &c
		return updateRefund(ctx, tx, r, c)
	})
	if err != nil {
		return nil, refundError(err)
	}
	if done != nil {
		s.metrics.countRefund(*done)
	}
	return answer, nil
}

// staff is who calls, for histories.
func staff(ctx context.Context) string {
	if caller, ok := auth.CallerFrom(ctx); ok {
		return "staff " + caller.Subject
	}
	return "staff"
}

// proto is the refund for its buyer, or for staff.
func (r *Refund) proto(forStaff bool) *paymentv1.Refund {
	out := &paymentv1.Refund{
		RefundId: r.ID.String(), OrderId: r.OrderID.String(), PaymentId: r.PaymentID.String(), Provider: r.Provider, State: r.State.refundProto(),
		Amount: money(r.Amount, r.Currency), Reason: r.Reason, CreatedAt: timestamppb.New(r.CreatedAt), SucceededAt: timestamp(r.SucceededAt),
	}
	if forStaff {
		out.Failure, out.Failures, out.ProviderRefundId, out.NextAttemptAt = r.Failure, r.Failures, r.ProviderRefundID, timestamp(r.NextAttemptAt)
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

// retry takes a failed refund back to REQUESTED in memory; next is the id for a provider that is done with the last.
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
	var refused *lifecycle.Refused
	switch {
	case errors.Is(err, errRefundNotFound):
		return rpcerr.New(connect.CodeNotFound, "REFUND_NOT_FOUND", "there is no such refund")
	case errors.As(err, &refused):
		return rpcerr.New(connect.CodeFailedPrecondition, "REFUND_STATE_CONFLICT", "only a FAILED refund can be tried again", "state", refused.State)
	case errors.Is(err, errStale):
		return rpcerr.Retry(connect.CodeAborted, "REFUND_CHANGED", "the refund was changed meanwhile; retry with the same request id", time.Second)
	}
	return database.RPCError(err)
}
