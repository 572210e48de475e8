-- +goose Up
-- method and reference (the provider's own id of the session) are how the provider knows the payment. next_query_at is when the
-- provider is asked about it next, and NULL once it has ended; paid_at is the provider's time of a success. statement_day is the
-- provider's statement that has it.
ALTER TABLE payments
    ADD COLUMN IF NOT EXISTS method text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS reference text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS bucket bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS next_query_at timestamptz,
    ADD COLUMN IF NOT EXISTS failure text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS paid_at timestamptz,
    ADD COLUMN IF NOT EXISTS statement_day date;
