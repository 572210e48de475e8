package reward

import (
	"context"
	"errors"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/coupon/budget"
)

// maxCampaigns that are on and not over: every paid order is held against all of them.
const maxCampaigns = 200

// Coupons is what campaigns need of coupons: *coupon.Store.
type Coupons interface {
	Grant(ctx context.Context, tx pgx.Tx, w coupon.GrantWish, at time.Time) ([]uuid.UUID, error)
	HasTemplate(ctx context.Context, q database.Querier, name string) (bool, error)
}

// StoreOptions of a [Store]. All have to be set.
type StoreOptions struct {
	Pool *pgxpool.Pool
	// Coupons are what campaigns grant.
	Coupons Coupons
	Clock   func() time.Time
}

// Store keeps campaigns and what they granted. Its methods are safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	coupons Coupons
	now     func() time.Time
}

// NewStore makes the store.
func NewStore(o StoreOptions) *Store { return &Store{pool: o.Pool, coupons: o.Coupons, now: o.Clock} }

// upsert creates a campaign or replaces its rule.
func (s *Store) upsert(
	ctx context.Context, req *rewardv1.UpsertCampaignRequest,
) (*rewardv1.UpsertCampaignResponse, error) {
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	now := database.Stamp(s.now())
	return idempotency.Once(ctx, s.pool, request, now, func(tx *database.Tx) (*rewardv1.UpsertCampaignResponse, error) {
		rule := req.GetCampaign()
		known, err := s.coupons.HasTemplate(ctx, tx, rule.GetTemplate())
		if err != nil {
			return nil, err
		}
		if !known {
			return nil, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonTemplateNotFound,
				"there is no such coupon template", "field", "campaign.template")
		}
		c, err := lock(ctx, tx, rule.GetName())
		if err != nil {
			return nil, err
		}
		if c == nil {
			c = &campaign{name: rule.GetName(), enabled: true}
		}
		c.rule = rule
		level, err := s.write(ctx, tx, c, now)
		if err != nil {
			return nil, err
		}
		return &rewardv1.UpsertCampaignResponse{Campaign: c.proto(level.Spent)}, nil
	})
}

// switchTo switches a campaign on or off.
func (s *Store) switchTo(
	ctx context.Context, req *rewardv1.SwitchCampaignRequest,
) (*rewardv1.SwitchCampaignResponse, error) {
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	now := database.Stamp(s.now())
	return idempotency.Once(ctx, s.pool, request, now, func(tx *database.Tx) (*rewardv1.SwitchCampaignResponse, error) {
		c, err := lock(ctx, tx, req.GetName())
		if err != nil {
			return nil, err
		}
		if c == nil {
			return nil, campaignNotFound()
		}
		c.enabled = req.GetOn()
		level, err := s.write(ctx, tx, c, now)
		if err != nil {
			return nil, err
		}
		return &rewardv1.SwitchCampaignResponse{Campaign: c.proto(level.Spent)}, nil
	})
}

// write stores the campaign's next revision and its budget. A new one that somebody else has
// created meanwhile is written over theirs, as if it had come second.
func (s *Store) write(ctx context.Context, tx pgx.Tx, c *campaign, now time.Time) (budget.Level, error) {
	if err := writeCampaign(ctx, tx, c, now); err != nil {
		return budget.Level{}, err
	}
	if c.enabled {
		if err := bounded(ctx, tx, now); err != nil {
			return budget.Level{}, err
		}
	}
	level, err := budget.Set(ctx, tx, c.owner(), c.revision, c.rule.GetBudget(), c.enabled)
	var spent *budget.SpentError
	if errors.As(err, &spent) {
		return level, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonBudgetSpent,
			"more is spent than the budget would be", "spent", strconv.FormatInt(spent.Spent, 10))
	}
	return level, err
}

// bounded refuses a campaign too many. Two that come at the same moment may both pass: the bound is
// for the load, not for a budget.
func bounded(ctx context.Context, tx pgx.Tx, now time.Time) error {
	on, err := countCampaigns(ctx, tx, now)
	if err != nil {
		return err
	}
	if on > maxCampaigns {
		return rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyCampaigns,
			"too many campaigns are on; switch one off first", "limit", strconv.Itoa(maxCampaigns))
	}
	return nil
}

// statuses reads up to limit campaigns behind a name, by name, with what is spent of their budgets.
func (s *Store) statuses(ctx context.Context, after string, limit int) ([]*rewardv1.CampaignStatus, error) {
	found, err := campaignsAfter(ctx, s.pool, after, limit)
	if err != nil {
		return nil, err
	}
	return s.withBudgets(ctx, found)
}

// status reads a campaign with what is spent of its budget, or CAMPAIGN_NOT_FOUND.
func (s *Store) status(ctx context.Context, name string) (*rewardv1.CampaignStatus, error) {
	found, err := campaignNamed(ctx, s.pool, name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, campaignNotFound()
	}
	out, err := s.withBudgets(ctx, found)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

func (s *Store) withBudgets(ctx context.Context, found []*campaign) ([]*rewardv1.CampaignStatus, error) {
	if len(found) == 0 {
		return nil, nil
	}
	owners := make([]string, len(found))
	for i, c := range found {
		owners[i] = c.owner()
	}
	levels, err := budget.Levels(ctx, s.pool, owners)
	if err != nil {
		return nil, err
	}
	out := make([]*rewardv1.CampaignStatus, len(found))
	for i, c := range found {
		out[i] = c.proto(levels[c.owner()].Spent)
	}
	return out, nil
}

func campaignNotFound() error {
	return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonCampaignNotFound, "there is no such campaign")
}
