-- +goose Up
-- What a provider has signed and we do not believe, once by the hash of what came, for staff to see.
CREATE TABLE IF NOT EXISTS refused_notifications (
    provider text NOT NULL,
    hash bytea NOT NULL,
    reason text NOT NULL,
    transaction_id text NOT NULL,
    payment_id uuid,
    raw bytea NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (provider, hash)
);
CREATE INDEX IF NOT EXISTS refused_notifications_received ON refused_notifications (received_at, provider, hash);
