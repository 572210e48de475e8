package reward

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

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

// Store keeps campaigns and what they granted. Its methods are safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	coupons Coupons
	now     func() time.Time
}

// NewStore takes the database, the coupons and a clock.
func NewStore(pool *pgxpool.Pool, coupons Coupons, now func() time.Time) *Store {
	return &Store{pool: pool, coupons: coupons, now: now}
}

// upsert creates a campaign or replaces its rule.
func (s *Store) upsert(
	ctx context.Context, req *rewardv1.UpsertCampaignRequest,
) (*rewardv1.UpsertCampaignResponse, error) {
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	answer := &rewardv1.UpsertCampaignResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		now := database.Stamp(s.now())
		rule := req.GetCampaign()
		known, err := s.coupons.HasTemplate(ctx, tx, rule.GetTemplate())
		if err != nil {
			return err
		}
		if !known {
			return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonTemplateNotFound, "there is no such coupon template",
				"field", "campaign.template")
		}
		c, err := lock(ctx, tx, rule.GetName())
		if err != nil {
			return err
		}
		if c == nil {
			c = &campaign{name: rule.GetName(), enabled: true}
		}
		c.rule = rule
		level, err := s.write(ctx, tx, c, now)
		if err != nil {
			return err
		}
		answer.Campaign = c.proto(level.Spent)
		return claimRequest(ctx, tx, request, now, answer)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// switchTo switches a campaign on or off.
func (s *Store) switchTo(
	ctx context.Context, req *rewardv1.SwitchCampaignRequest,
) (*rewardv1.SwitchCampaignResponse, error) {
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	answer := &rewardv1.SwitchCampaignResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		now := database.Stamp(s.now())
		c, err := lock(ctx, tx, req.GetName())
		if err != nil {
			return err
		}
		if c == nil {
			return campaignNotFound()
		}
		c.enabled = req.GetOn()
		level, err := s.write(ctx, tx, c, now)
		if err != nil {
			return err
		}
		answer.Campaign = c.proto(level.Spent)
		return claimRequest(ctx, tx, request, now, answer)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// claimRequest stores the request with its answer.
func claimRequest(
	ctx context.Context, tx pgx.Tx, request idempotency.Request, at time.Time, answer proto.Message,
) error {
	var b pgx.Batch
	if err := request.Claim(&b, at, answer); err != nil {
		return err
	}
	return tx.SendBatch(ctx, &b).Close()
}

// lock reads a campaign and keeps its row locked; nil if there is none.
func lock(ctx context.Context, tx pgx.Tx, name string) (*campaign, error) {
	found, err := read(ctx, tx, "WHERE name = $1 FOR UPDATE", name)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// write stores the campaign's next revision and its budget. A new one that somebody else has
// created meanwhile is written over theirs, as if it had come second.
func (s *Store) write(ctx context.Context, tx pgx.Tx, c *campaign, now time.Time) (budget.Level, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.rule)
	if err != nil {
		return budget.Level{}, fmt.Errorf("writing a campaign: %w", err)
	}
	err = tx.QueryRow(ctx,
		`INSERT INTO reward_campaigns (name, revision, enabled, starts_at, ends_at, rule, created_at, updated_at)
		VALUES ($1, 1, $2, $3, $4, $5, $6, $6)
		ON CONFLICT (name) DO UPDATE SET revision = reward_campaigns.revision + 1, enabled = excluded.enabled,
			starts_at = excluded.starts_at, ends_at = excluded.ends_at, rule = excluded.rule, updated_at = excluded.updated_at
		RETURNING revision`, c.name, c.enabled, database.Stamp(c.rule.GetFrom().AsTime()),
		database.Stamp(c.rule.GetUntil().AsTime()), raw, now).Scan(&c.revision)
	if err != nil {
		return budget.Level{}, fmt.Errorf("writing a campaign: %w", err)
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
	var on int64
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM reward_campaigns WHERE enabled AND ends_at > $1",
		now).Scan(&on); err != nil {
		return fmt.Errorf("counting campaigns: %w", err)
	}
	if on > maxCampaigns {
		return rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyCampaigns,
			"too many campaigns are on; switch one off first", "limit", strconv.Itoa(maxCampaigns))
	}
	return nil
}

// read reads the campaigns that a condition finds.
func read(ctx context.Context, q database.Querier, condition string, args ...any) ([]*campaign, error) {
	rows, err := q.Query(ctx, "SELECT name, revision, enabled, rule FROM reward_campaigns "+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading campaigns: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanCampaign)
	if err != nil {
		return nil, fmt.Errorf("reading campaigns: %w", err)
	}
	return found, nil
}

func scanCampaign(row pgx.CollectableRow) (*campaign, error) {
	c := &campaign{rule: &rewardv1.Campaign{}}
	var raw []byte
	if err := row.Scan(&c.name, &c.revision, &c.enabled, &raw); err != nil {
		return nil, err
	}
	return c, proto.Unmarshal(raw, c.rule)
}

// statuses reads campaigns with what is spent of their budgets.
func (s *Store) statuses(ctx context.Context, condition string, args ...any) ([]*rewardv1.CampaignStatus, error) {
	found, err := read(ctx, s.pool, condition, args...)
	if err != nil || len(found) == 0 {
		return nil, err
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

const selectGrants = "SELECT order_id, campaign, revision, buyer_id, outcome, coupon_ids, created_at FROM reward_grants "

// grantsOfOrder reads an order's grants behind a campaign, by campaign.
func (s *Store) grantsOfOrder(ctx context.Context, orderID, after string, limit int) ([]*rewardv1.Grant, error) {
	const condition = "WHERE order_id = $1 AND campaign > $2 ORDER BY campaign LIMIT $3"
	return readGrants(ctx, s.pool, selectGrants+condition, orderID, after, limit)
}

// grantsOfCampaign reads a campaign's grants behind an order, by order.
func (s *Store) grantsOfCampaign(
	ctx context.Context, campaign string, after uuid.UUID, limit int,
) ([]*rewardv1.Grant, error) {
	const condition = "WHERE campaign = $1 AND order_id > $2 ORDER BY order_id LIMIT $3"
	return readGrants(ctx, s.pool, selectGrants+condition, campaign, after, limit)
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
