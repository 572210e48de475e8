package returns

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/page"
)

const defaultPageSize = 20

// GetReturn returns a buyer's return.
func (s *Service) GetReturn(
	ctx context.Context, req *returnsv1.GetReturnRequest,
) (*returnsv1.GetReturnResponse, error) {
	id, err := uuid.Parse(req.GetReturnId())
	if err != nil {
		return nil, rpcError(errNotFound)
	}
	r, err := get(ctx, s.pool, id)
	if err == nil && r.BuyerID != req.GetBuyerId() {
		err = errNotFound
	}
	if err != nil {
		return nil, rpcError(err)
	}
	return &returnsv1.GetReturnResponse{Return: r.proto()}, nil
}

// GetReturnHistory returns a return with what happened to it.
func (s *Service) GetReturnHistory(
	ctx context.Context, req *returnsv1.GetReturnHistoryRequest,
) (*returnsv1.GetReturnHistoryResponse, error) {
	id, err := uuid.Parse(req.GetReturnId())
	if err != nil {
		return nil, rpcError(errNotFound)
	}
	r, err := get(ctx, s.pool, id)
	if err != nil {
		return nil, rpcError(err)
	}
	history, err := loadHistory(ctx, s.pool, id)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &returnsv1.GetReturnHistoryResponse{Return: r.proto()}
	for _, h := range history {
		answer.Changes = append(answer.Changes, &returnsv1.ReturnChange{
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

// Open are those of the orders that have a return that has not ended.
func (s *Service) Open(ctx context.Context, orderIDs []uuid.UUID) (map[uuid.UUID]bool, error) {
	return withOpen(ctx, s.pool, orderIDs)
}

// ListReturns returns a page of a buyer's returns, newest first.
func (s *Service) ListReturns(
	ctx context.Context, req *returnsv1.ListReturnsRequest,
) (*returnsv1.ListReturnsResponse, error) {
	// Later than any return.
	before := position{createdAt: s.now().Add(24 * time.Hour), id: uuid.Max}
	if _, err := page.Parse(req.GetPageToken(), &before.createdAt, &before.id); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	returns, err := listOfBuyer(ctx, s.pool, req.GetBuyerId(), req.GetOrderId(), before, size+1)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &returnsv1.ListReturnsResponse{}
	answer.Returns, answer.NextPageToken = cut(returns, size)
	return answer, nil
}

// FindReturns returns a page of all buyers' returns, oldest first.
func (s *Service) FindReturns(
	ctx context.Context, req *returnsv1.FindReturnsRequest,
) (*returnsv1.FindReturnsResponse, error) {
	after := position{createdAt: time.UnixMicro(0)}
	if _, err := page.Parse(req.GetPageToken(), &after.createdAt, &after.id); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	state := ""
	if req.GetState() != 0 {
		state = strings.TrimPrefix(req.GetState().String(), "RETURN_STATE_")
	}
	returns, err := list(ctx, s.pool, state, after, size+1)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &returnsv1.FindReturnsResponse{}
	answer.Returns, answer.NextPageToken = cut(returns, size)
	if c, _ := auth.CallerFrom(ctx); !auth.KnowsBuyers(ctx) && c.Acting&auth.ServiceRoles == 0 {
		for _, r := range answer.GetReturns() {
			Mask(r)
		}
	}
	return answer, nil
}

// Mask hides what the buyer said and showed from those of the staff who do not talk to buyers.
func Mask(r *returnsv1.Return) {
	if r.GetDescription() != "" {
		r.Description = "***"
	}
	r.Pictures = nil
}

// cut makes a page of what was read, which is one more than the size if there is another page.
func cut(returns []*Return, size int) ([]*returnsv1.Return, string) {
	returns, next := page.Cut(returns, size, func(last *Return) []any { return []any{last.CreatedAt, last.ID} })
	out := make([]*returnsv1.Return, len(returns))
	for i, r := range returns {
		out[i] = r.proto()
	}
	return out, next
}
