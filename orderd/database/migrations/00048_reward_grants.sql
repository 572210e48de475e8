-- +goose Up
-- What came of each order that met a campaign's condition.
CREATE TABLE IF NOT EXISTS reward_grants (
    order_id uuid NOT NULL,
    campaign text NOT NULL,
    revision bigint NOT NULL,
    buyer_id text NOT NULL,
    outcome text NOT NULL,
    coupon_ids uuid[] NOT NULL,
    taken_back boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, campaign)
);
CREATE INDEX IF NOT EXISTS reward_grants_by_campaign ON reward_grants (campaign, order_id);
