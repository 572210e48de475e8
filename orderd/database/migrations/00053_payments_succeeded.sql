-- +goose Up
-- What the reconciliation reads: a bucket's payments by when they succeeded.
CREATE INDEX IF NOT EXISTS payments_succeeded ON payments (bucket, succeeded_at, payment_id) WHERE succeeded_at IS NOT NULL;
