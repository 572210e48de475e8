-- +goose Up
-- Live workers of a kind, which share its buckets.
CREATE TABLE IF NOT EXISTS lease_workers (
    kind text NOT NULL,
    worker text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (kind, worker)
);
