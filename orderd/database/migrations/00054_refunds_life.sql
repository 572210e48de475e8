-- +goose Up
-- transaction_id is what the refund is for, once: a transaction of the provider's that is due back, or for what an order grants
-- "order/", the order and the grant's key, which is order_key. paid_by is the transaction that the money comes from. seq counts the
-- refunds from one transaction, and left_after is what is left of it: both together keep their sum below what was paid.
-- asked_as is the id that the provider knows the refund by, if it is not refund_id: after a failure that is final for the provider.
-- next_attempt_at is NULL when nothing happens any more on its own; the default takes in what older pods write.
ALTER TABLE refunds
    ADD COLUMN IF NOT EXISTS version bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS order_key text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS paid_by text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS seq bigint,
    ADD COLUMN IF NOT EXISTS left_after bigint NOT NULL DEFAULT 0 CHECK (left_after >= 0),
    ADD COLUMN IF NOT EXISTS bucket bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS asked_as uuid,
    ADD COLUMN IF NOT EXISTS provider_refund_id text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS failure text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS failure_final boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS attempts bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS failures bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS next_attempt_at timestamptz DEFAULT '2000-01-01 00:00:00+00',
    ADD COLUMN IF NOT EXISTS succeeded_at timestamptz,
    ADD COLUMN IF NOT EXISTS statement_day date;
