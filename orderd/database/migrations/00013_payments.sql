-- +goose Up
CREATE TABLE IF NOT EXISTS payments (
    payment_id uuid PRIMARY KEY,
    order_id uuid NOT NULL,
    buyer_id text NOT NULL,
    provider text NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    redirect_url text NOT NULL,
    transaction_id text NOT NULL,
    created_at timestamptz NOT NULL,
    succeeded_at timestamptz
);
CREATE INDEX IF NOT EXISTS payments_order ON payments (order_id);
