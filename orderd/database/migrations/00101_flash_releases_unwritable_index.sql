-- +goose Up
-- What the settlement of a promotion reads of unwritable orders.
CREATE INDEX IF NOT EXISTS flash_releases_unwritable ON flash_releases (promotion_uid, order_id) WHERE reservation IS NOT NULL;
