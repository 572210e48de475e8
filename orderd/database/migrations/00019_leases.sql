-- +goose Up
-- Buckets of background work and the worker that has each; kind is the work.
CREATE TABLE IF NOT EXISTS leases (
    kind text NOT NULL,
    bucket bigint NOT NULL,
    owner text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (kind, bucket)
);
