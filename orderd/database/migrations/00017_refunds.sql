-- +goose Up
-- Money that has to go back: one row a provider's transaction.
CREATE TABLE IF NOT EXISTS refunds (
    refund_id uuid PRIMARY KEY,
    provider text NOT NULL,
    transaction_id text NOT NULL,
    payment_id uuid NOT NULL,
    order_id uuid NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (provider, transaction_id)
);
