-- +goose Up
-- What of an order's lines was granted back, by the key of what asked for it (a cancellation, a return). refunded_at and refund_id are
-- set when the provider has paid it back.
CREATE TABLE IF NOT EXISTS order_refunds (
    order_id uuid NOT NULL,
    key text NOT NULL,
    line bigint NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    amount bigint NOT NULL CHECK (amount >= 0),
    granted_at timestamptz NOT NULL,
    refund_id uuid,
    refunded_at timestamptz,
    PRIMARY KEY (order_id, key, line)
);
