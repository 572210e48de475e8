package reward

import (
	"context"

	"github.com/google/uuid"

	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/page"
)

const defaultPageSize = 20

// Service is the handler of RewardService. Requests reach it validated.
type Service struct{ store *Store }

// NewService takes the store.
func NewService(store *Store) *Service { return &Service{store: store} }

// UpsertCampaign creates a campaign or replaces its rule.
func (s *Service) UpsertCampaign(
	ctx context.Context, req *rewardv1.UpsertCampaignRequest,
) (*rewardv1.UpsertCampaignResponse, error) {
	answer, err := s.store.upsert(ctx, req)
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// GetCampaign returns a campaign and how much of its budget is spent.
func (s *Service) GetCampaign(
	ctx context.Context, req *rewardv1.GetCampaignRequest,
) (*rewardv1.GetCampaignResponse, error) {
	found, err := s.store.status(ctx, req.GetName())
	if err != nil {
		return nil, database.RPCError(err)
	}
	return &rewardv1.GetCampaignResponse{Campaign: found}, nil
}

// ListCampaigns returns a page of campaigns, by name.
func (s *Service) ListCampaigns(
	ctx context.Context, req *rewardv1.ListCampaignsRequest,
) (*rewardv1.ListCampaignsResponse, error) {
	var after string
	if _, err := page.Parse(req.GetPageToken(), &after); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	// One more than asked for tells whether there is a next page.
	found, err := s.store.statuses(ctx, after, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &rewardv1.ListCampaignsResponse{}
	answer.Campaigns, answer.NextPageToken = page.Cut(found, size, func(last *rewardv1.CampaignStatus) []any {
		return []any{last.GetCampaign().GetName()}
	})
	return answer, nil
}

// SwitchCampaign switches a campaign on or off.
func (s *Service) SwitchCampaign(
	ctx context.Context, req *rewardv1.SwitchCampaignRequest,
) (*rewardv1.SwitchCampaignResponse, error) {
	answer, err := s.store.switchTo(ctx, req)
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// ListGrants returns a page of what came of orders in campaigns.
func (s *Service) ListGrants(
	ctx context.Context, req *rewardv1.ListGrantsRequest,
) (*rewardv1.ListGrantsResponse, error) {
	// An order's grants are listed by campaign, a campaign's by order.
	var campaign string
	var orderID uuid.UUID
	var after any = &orderID
	if req.GetOrderId() != "" {
		after = &campaign
	}
	if _, err := page.Parse(req.GetPageToken(), after); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	var found []*rewardv1.Grant
	var err error
	if req.GetOrderId() != "" {
		found, err = s.store.grantsOfOrder(ctx, req.GetOrderId(), campaign, size+1)
	} else {
		found, err = s.store.grantsOfCampaign(ctx, req.GetCampaign(), orderID, size+1)
	}
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &rewardv1.ListGrantsResponse{}
	answer.Grants, answer.NextPageToken = page.Cut(found, size, func(last *rewardv1.Grant) []any {
		if req.GetOrderId() != "" {
			return []any{last.GetCampaign()}
		}
		return []any{last.GetOrderId()}
	})
	return answer, nil
}
