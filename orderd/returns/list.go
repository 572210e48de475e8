package returns

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const defaultPageSize = 20

// GetReturn returns a buyer's return.
func (s *Service) GetReturn(ctx context.Context, req *returnsv1.GetReturnRequest) (*returnsv1.GetReturnResponse, error) {
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
func (s *Service) GetReturnHistory(ctx context.Context, req *returnsv1.GetReturnHistoryRequest) (*returnsv1.GetReturnHistoryResponse, error) {
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
			Version: h.Version, Event: h.Event, From: h.From.proto(), To: h.To.proto(), Actor: h.Actor, Reason: h.Reason, At: timestamppb.New(h.At),
		})
	}
	return answer, nil
}

// ListReturns returns a page of a buyer's returns, newest first.
func (s *Service) ListReturns(ctx context.Context, req *returnsv1.ListReturnsRequest) (*returnsv1.ListReturnsResponse, error) {
	before, last, err := parsePageToken(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	if req.GetPageToken() == "" {
		// Later than any return.
		before, last = s.now().Add(24*time.Hour), uuid.Max
	}
	// A buyer has few in one order: their order is compared here.
	condition, args := "WHERE buyer_id = $1 AND (created_at, return_id) < ($2, $3)", []any{req.GetBuyerId(), before, last, pageSize(req.GetPageSize()) + 1}
	if req.GetOrderId() != "" {
		condition, args = condition+" AND order_id = $5", append(args, req.GetOrderId())
	}
	returns, err := load(ctx, s.pool, condition+" ORDER BY created_at DESC, return_id DESC LIMIT $4", args...)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &returnsv1.ListReturnsResponse{}
	answer.Returns, answer.NextPageToken = page(returns, pageSize(req.GetPageSize()))
	return answer, nil
}

// FindReturns returns a page of all buyers' returns, oldest first.
func (s *Service) FindReturns(ctx context.Context, req *returnsv1.FindReturnsRequest) (*returnsv1.FindReturnsResponse, error) {
	after, last, err := parsePageToken(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	condition, args := "WHERE (created_at, return_id) > ($1, $2)", []any{after, last, pageSize(req.GetPageSize()) + 1}
	if req.GetState() != 0 {
		condition, args = condition+" AND state = $4", append(args, strings.TrimPrefix(req.GetState().String(), "RETURN_STATE_"))
	}
	returns, err := load(ctx, s.pool, condition+" ORDER BY created_at, return_id LIMIT $3", args...)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &returnsv1.FindReturnsResponse{}
	answer.Returns, answer.NextPageToken = page(returns, pageSize(req.GetPageSize()))
	return answer, nil
}

func pageSize(asked int32) int {
	if asked == 0 {
		return defaultPageSize
	}
	return int(asked)
}

// page makes a page of what was read, which is one more than the size if there is another page.
func page(returns []*Return, size int) ([]*returnsv1.Return, string) {
	token := ""
	if len(returns) > size {
		returns = returns[:size]
		last := returns[size-1]
		raw := binary.BigEndian.AppendUint64(nil, uint64(last.CreatedAt.UnixMicro()))
		token = base64.RawURLEncoding.EncodeToString(append(raw, last.ID[:]...))
	}
	out := make([]*returnsv1.Return, len(returns))
	for i, r := range returns {
		out[i] = r.proto()
	}
	return out, token
}

// parsePageToken reads what page made; an empty one is before everything.
func parsePageToken(token string) (time.Time, uuid.UUID, error) {
	if token == "" {
		return time.UnixMicro(0).UTC(), uuid.Nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil && len(raw) == 8+len(uuid.UUID{}) {
		if at := time.UnixMicro(int64(binary.BigEndian.Uint64(raw))).UTC(); at.Year() >= 1970 && at.Year() <= 9999 {
			return at, uuid.UUID(raw[8:]), nil
		}
	}
	return time.Time{}, uuid.Nil, rpcerr.New(connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN", "page_token is not from an answer of this list", "field", "page_token")
}
