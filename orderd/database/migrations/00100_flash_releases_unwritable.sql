-- +goose Up
-- A flash order that the database refused for good is here and not in orders: reason is UNWRITABLE, reservation is the order (a
-- protobuf orderd.flash.v1.Reservation; buyer_id is empty, since what was refused may be the buyer), and refusal is why.
ALTER TABLE flash_releases
    ADD COLUMN IF NOT EXISTS reservation bytea,
    ADD COLUMN IF NOT EXISTS refusal text NOT NULL DEFAULT '';
