-- +goose Up
CREATE TABLE IF NOT EXISTS coupon_templates (
    name text PRIMARY KEY,
    -- Of its newest terms.
    revision bigint NOT NULL,
    enabled boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- Every revision of every template, because coupons keep the terms that they were claimed with. Rows
-- never change.
CREATE TABLE IF NOT EXISTS coupon_terms (
    template text NOT NULL,
    revision bigint NOT NULL,
    -- An orderd.coupon.v1.CouponTemplate.
    terms bytea NOT NULL,
    -- What a red envelope's parts are made from; empty for others.
    seed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (template, revision)
);

-- How much may be given away of a template or by a campaign. A budget is spread over buckets, so that the
-- transactions that take from it seldom wait for each other; the sum of its rows is the budget.
CREATE TABLE IF NOT EXISTS budgets (
    owner text NOT NULL,
    bucket bigint NOT NULL,
    -- Of the terms that are in force; nothing is taken under others.
    revision bigint NOT NULL,
    enabled boolean NOT NULL,
    -- The number of the bucket's first unit.
    first_unit bigint NOT NULL,
    capacity bigint NOT NULL,
    remaining bigint NOT NULL CHECK (remaining >= 0 AND remaining <= capacity),
    PRIMARY KEY (owner, bucket)
);

-- How many coupons of a template a buyer has had.
CREATE TABLE IF NOT EXISTS coupon_claims (
    buyer_id text NOT NULL,
    template text NOT NULL,
    claimed bigint NOT NULL CHECK (claimed >= 0),
    PRIMARY KEY (buyer_id, template)
);

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
    -- The order that has locked or used it.
    order_id uuid,
    claimed_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS coupons_by_buyer ON coupons (buyer_id, state, valid_until, coupon_id);
CREATE INDEX IF NOT EXISTS coupons_by_order ON coupons (order_id) WHERE order_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS coupons_by_part ON coupons (template, part) WHERE part IS NOT NULL;

CREATE TABLE IF NOT EXISTS coupon_history (
    coupon_id uuid NOT NULL,
    version bigint NOT NULL,
    event text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    order_id uuid,
    at timestamptz NOT NULL,
    PRIMARY KEY (coupon_id, version)
);
