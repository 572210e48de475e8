-- +goose Up
-- Ids are random, so that claims spread over the key space.
CREATE TABLE IF NOT EXISTS coupons (
    coupon_id uuid PRIMARY KEY,
    buyer_id text NOT NULL,
    template text NOT NULL,
    revision bigint NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL,
    -- What a fixed coupon or a red envelope's part takes off; 0 for others.
    amount bigint NOT NULL CHECK (amount >= 0),
    -- The number of the red envelope's part that it is.
    part bigint,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    -- The order that holds or has used it.
    order_id uuid,
    claimed_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS coupons_by_buyer ON coupons (buyer_id, state, valid_until, coupon_id);
CREATE INDEX IF NOT EXISTS coupons_by_order ON coupons (order_id) WHERE order_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS coupons_by_part ON coupons (template, part) WHERE part IS NOT NULL;
