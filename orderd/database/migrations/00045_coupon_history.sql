-- +goose Up
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
