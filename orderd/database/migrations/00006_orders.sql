-- +goose Up
-- version counts the changes of an order's state and numbers its history and its outbox rows.
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    buyer_id text NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL,
    currency text NOT NULL,
    total bigint NOT NULL CHECK (total >= 0),
    promotion_uid text NOT NULL,
    promotion text NOT NULL,
    bucket bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    paid_at timestamptz,
    cancelled_at timestamptz,
    cancel_reason text NOT NULL DEFAULT ''
);
