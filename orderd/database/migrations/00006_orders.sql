-- +goose Up
-- version counts the changes of an order's state and numbers its history and its outbox rows.
CREATE TABLE IF NOT EXISTS orders (
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
-- What the expirer reads: a bucket's unpaid orders by their expiry.
CREATE INDEX IF NOT EXISTS orders_unpaid ON orders (bucket, expires_at, order_id) WHERE state = 'PENDING_PAYMENT';
-- What the settlement of a promotion reads.
CREATE INDEX IF NOT EXISTS orders_promotion ON orders (promotion_uid, order_id) WHERE promotion_uid <> '';
