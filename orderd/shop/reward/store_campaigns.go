package reward

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// share reads campaigns again, those that are still on, and keeps them from changing.
func share(ctx context.Context, tx pgx.Tx, campaigns []*campaign) ([]*campaign, error) {
	names := make([]string, len(campaigns))
	for i, c := range campaigns {
		names[i] = c.name
	}
	return read(ctx, tx, "WHERE name = ANY ($1) AND enabled ORDER BY name FOR SHARE", names)
}

// lock reads a campaign and keeps its row locked; nil if there is none.
func lock(ctx context.Context, tx pgx.Tx, name string) (*campaign, error) {
	found, err := read(ctx, tx, "WHERE name = $1 FOR UPDATE", name)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
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

// campaignNamed reads a campaign; none if there is no such one.
func campaignNamed(ctx context.Context, q database.Querier, name string) ([]*campaign, error) {
	return read(ctx, q, "WHERE name = $1", name)
}

// campaignsAfter reads up to limit campaigns behind a name, by name.
func campaignsAfter(ctx context.Context, q database.Querier, after string, limit int) ([]*campaign, error) {
	return read(ctx, q, "WHERE name > $1 ORDER BY name LIMIT $2", after, limit)
}

// writeCampaign stores the campaign as its next revision, which it sets.
func writeCampaign(ctx context.Context, tx pgx.Tx, c *campaign, now time.Time) error {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.rule)
	if err != nil {
		return fmt.Errorf("writing a campaign: %w", err)
	}
	err = tx.QueryRow(ctx,
		`INSERT INTO reward_campaigns (name, revision, enabled, starts_at, ends_at, rule, created_at, updated_at)
		VALUES ($1, 1, $2, $3, $4, $5, $6, $6)
		ON CONFLICT (name) DO UPDATE SET revision = reward_campaigns.revision + 1, enabled = excluded.enabled,
			starts_at = excluded.starts_at, ends_at = excluded.ends_at, rule = excluded.rule, updated_at = excluded.updated_at
		RETURNING revision`, c.name, c.enabled, database.Stamp(c.rule.GetFrom().AsTime()),
		database.Stamp(c.rule.GetUntil().AsTime()), raw, now).Scan(&c.revision)
	if err != nil {
		return fmt.Errorf("writing a campaign: %w", err)
	}
	return nil
}

// countCampaigns counts those that are on and not over.
func countCampaigns(ctx context.Context, tx pgx.Tx, now time.Time) (int64, error) {
	var on int64
	err := tx.QueryRow(ctx, "SELECT count(*) FROM reward_campaigns WHERE enabled AND ends_at > $1", now).Scan(&on)
	if err != nil {
		return 0, fmt.Errorf("counting campaigns: %w", err)
	}
	return on, nil
}
