-- +goose Up
-- Every revision of every template, because coupons keep the terms that they were claimed with. Rows never change.
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
