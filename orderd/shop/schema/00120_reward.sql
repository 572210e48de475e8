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

-- The orders that a campaign has looked at. Whoever grants something for an order, or takes it back, locks
-- its row.
CREATE TABLE IF NOT EXISTS reward_orders (
    order_id uuid PRIMARY KEY,
    -- The order has ended: nothing is granted for it any more.
    withdrawn boolean NOT NULL
);

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

-- Each buyer's first paid order.
CREATE TABLE IF NOT EXISTS reward_first_orders (
    buyer_id text PRIMARY KEY,
    order_id uuid NOT NULL
);
