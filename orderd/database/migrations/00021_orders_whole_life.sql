-- +goose Up
-- goods are total + discount - freight, and tax is included in total, so that rows from before need no change. coupon_ids are those
-- the order was placed with; payment_id is the payment that counts.
ALTER TABLE orders
    ADD COLUMN IF NOT EXISTS discount bigint NOT NULL DEFAULT 0 CHECK (discount >= 0),
    ADD COLUMN IF NOT EXISTS freight bigint NOT NULL DEFAULT 0 CHECK (freight >= 0),
    ADD COLUMN IF NOT EXISTS tax bigint NOT NULL DEFAULT 0 CHECK (tax >= 0),
    ADD COLUMN IF NOT EXISTS address jsonb,
    ADD COLUMN IF NOT EXISTS delivery_method text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS invoice jsonb,
    ADD COLUMN IF NOT EXISTS coupon_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS payment_id uuid,
    ADD COLUMN IF NOT EXISTS shipped_at timestamptz,
    ADD COLUMN IF NOT EXISTS delivered_at timestamptz,
    ADD COLUMN IF NOT EXISTS completed_at timestamptz;
