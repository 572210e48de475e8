-- +goose Up
-- What the poller reads: a bucket's open payments by when they are to be asked about.
CREATE INDEX IF NOT EXISTS payments_open ON payments (bucket, next_query_at, payment_id) WHERE next_query_at IS NOT NULL;
