-- +goose Up
-- A line's total is quantity * unit_price - discount + freight. Of its quantity: shipping is in parcels that have not left, shipped has
-- left, delivered of these has arrived, returned was refunded, withdrawn of these never left. refund_granted and refunded are money.
ALTER TABLE order_lines
    ADD COLUMN IF NOT EXISTS discount bigint NOT NULL DEFAULT 0 CHECK (discount >= 0),
    ADD COLUMN IF NOT EXISTS freight bigint NOT NULL DEFAULT 0 CHECK (freight >= 0),
    ADD COLUMN IF NOT EXISTS tax bigint NOT NULL DEFAULT 0 CHECK (tax >= 0),
    ADD COLUMN IF NOT EXISTS shipping bigint NOT NULL DEFAULT 0 CHECK (shipping >= 0),
    ADD COLUMN IF NOT EXISTS shipped bigint NOT NULL DEFAULT 0 CHECK (shipped >= 0),
    ADD COLUMN IF NOT EXISTS delivered bigint NOT NULL DEFAULT 0 CHECK (delivered >= 0),
    ADD COLUMN IF NOT EXISTS returned bigint NOT NULL DEFAULT 0 CHECK (returned >= 0),
    ADD COLUMN IF NOT EXISTS withdrawn bigint NOT NULL DEFAULT 0 CHECK (withdrawn >= 0),
    ADD COLUMN IF NOT EXISTS refund_granted bigint NOT NULL DEFAULT 0 CHECK (refund_granted >= 0),
    ADD COLUMN IF NOT EXISTS refunded bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0);
