-- +goose Up
CREATE TABLE IF NOT EXISTS coupon_templates (
    name text PRIMARY KEY,
    -- Of its newest terms.
    revision bigint NOT NULL,
    enabled boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
