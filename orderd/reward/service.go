package reward

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const defaultPageSize = 20

// Service is the handler of RewardService. Requests reach it validated.
type Service struct{ store *Store }

// NewService takes the store.
func NewService(store *Store) *Service { return &Service{store: store} }

// UpsertCampaign creates a campaign or replaces its rule.
func (s *Service) UpsertCampaign(ctx context.Context, req *rewardv1.UpsertCampaignRequest) (*rewardv1.UpsertCampaignResponse, error) {
	answer, err := s.store.upsert(ctx, req)
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// GetCampaign returns a campaign and how much of its budget is spent.
func (s *Service) GetCampaign(ctx context.Context, req *rewardv1.GetCampaignRequest) (*rewardv1.GetCampaignResponse, error) {
	found, err := s.store.statuses(ctx, "WHERE name = $1", req.GetName())
	if err != nil {
		return nil, database.RPCError(err)
	}
	if len(found) == 0 {
		return nil, campaignNotFound()
	}
	return &rewardv1.GetCampaignResponse{Campaign: found[0]}, nil
}

// ListCampaigns returns a page of campaigns, by name.
func (s *Service) ListCampaigns(ctx context.Context, req *rewardv1.ListCampaignsRequest) (*rewardv1.ListCampaignsResponse, error) {
	after, err := parseToken(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	// One more than asked for tells whether there is a next page.
	found, err := s.store.statuses(ctx, "WHERE name > $1 ORDER BY name LIMIT $2", after, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &rewardv1.ListCampaignsResponse{Campaigns: found}
	if len(found) > size {
		answer.Campaigns = found[:size]
		answer.NextPageToken = pageToken(found[size-1].GetCampaign().GetName())
	}
	return answer, nil
}

// SwitchCampaign switches a campaign on or off.
func (s *Service) SwitchCampaign(ctx context.Context, req *rewardv1.SwitchCampaignRequest) (*rewardv1.SwitchCampaignResponse, error) {
	answer, err := s.store.switchTo(ctx, req)
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// ListGrants returns a page of what came of orders in campaigns.
func (s *Service) ListGrants(ctx context.Context, req *rewardv1.ListGrantsRequest) (*rewardv1.ListGrantsResponse, error) {
	after, err := parseToken(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	found, err := s.store.grants(ctx, req, after, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &rewardv1.ListGrantsResponse{Grants: found}
	if len(found) > size {
		answer.Grants = found[:size]
		last := found[size-1]
		answer.NextPageToken = pageToken(last.GetOrderId())
		if req.GetOrderId() != "" {
			answer.NextPageToken = pageToken(last.GetCampaign())
		}
	}
	return answer, nil
}

// grants reads an order's by campaign, or a campaign's by order.
func (s *Store) grants(ctx context.Context, req *rewardv1.ListGrantsRequest, after string, size int) ([]*rewardv1.Grant, error) {
	const from = "SELECT order_id, campaign, revision, buyer_id, outcome, coupon_ids, created_at FROM reward_grants "
	if req.GetOrderId() != "" {
		return readGrants(ctx, s.pool, from+"WHERE order_id = $1 AND campaign > $2 ORDER BY campaign LIMIT $3", req.GetOrderId(), after, size)
	}
	below := uuid.Nil
	if after != "" {
		var err error
		if below, err = uuid.Parse(after); err != nil {
			return nil, badToken()
		}
	}
	return readGrants(ctx, s.pool, from+"WHERE campaign = $1 AND order_id > $2 ORDER BY order_id LIMIT $3", req.GetCampaign(), below, size)
}

func readGrants(ctx context.Context, q database.Querier, sql string, args ...any) ([]*rewardv1.Grant, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("reading grants: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*rewardv1.Grant, error) {
		g := &rewardv1.Grant{}
		var orderID uuid.UUID
		var coupons []uuid.UUID
		var at time.Time
		if err := row.Scan(&orderID, &g.Campaign, &g.Revision, &g.BuyerId, &g.Outcome, &coupons, &at); err != nil {
			return nil, err
		}
		g.OrderId, g.At = orderID.String(), timestamppb.New(at)
		for _, id := range coupons {
			g.CouponIds = append(g.CouponIds, id.String())
		}
		return g, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading grants: %w", err)
	}
	return found, nil
}

func pageSize(asked int32) int {
	if asked == 0 {
		return defaultPageSize
	}
	return int(asked)
}

// pageToken names the last of a page.
func pageToken(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

// parseToken takes what pageToken made.
func parseToken(token string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || !utf8.Valid(raw) || bytes.ContainsRune(raw, 0) {
		return "", badToken()
	}
	return string(raw), nil
}

func badToken() error {
	return rpcerr.New(connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN", "page_token is not from an answer to this list", "field", "page_token")
}
