-- +goose Up
CREATE TABLE IF NOT EXISTS reward_campaigns (
    name text PRIMARY KEY,
    revision bigint NOT NULL,
    enabled boolean NOT NULL,
    -- When the orders have to be paid.
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    -- An orderd.reward.v1.Campaign.
    rule bytea NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS reward_campaigns_on ON reward_campaigns (ends_at) WHERE enabled;
