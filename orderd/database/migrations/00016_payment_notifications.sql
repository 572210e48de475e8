-- +goose Up
-- What providers told us and we handled, as it came, once by the provider's own transaction id.
CREATE TABLE IF NOT EXISTS payment_notifications (
    provider text NOT NULL,
    transaction_id text NOT NULL,
    payment_id uuid NOT NULL,
    raw bytea NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (provider, transaction_id)
);
