-- +goose Up
-- What orders have beside their goods: where they were placed, what the shop's own systems keep (attributes, text to
-- text), what the buyer wrote, and the staff's tags, in order.
ALTER TABLE orders
    ADD COLUMN IF NOT EXISTS channel text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS attributes jsonb,
    ADD COLUMN IF NOT EXISTS buyer_message text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS gift_note text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS tags text[] NOT NULL DEFAULT '{}';
