-- +goose Up
-- What the sandbox knows, as a payment provider would on its own machines: a payment that was paid or closed has the zero
-- refund_id, a refund its own.
CREATE TABLE IF NOT EXISTS sandbox_transactions (
    payment_id uuid NOT NULL,
    refund_id uuid NOT NULL,
    state text NOT NULL,
    transaction_id text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (payment_id, refund_id)
);
CREATE INDEX IF NOT EXISTS sandbox_transactions_at ON sandbox_transactions (at, payment_id, refund_id);
