-- +goose Up
-- Cancelled and expired flash orders whose stock has to go back into their sale. outcome is PENDING until the
-- partition's owner answered, then RELEASED (in the log) or CREDITED (the partition was closed: back in stock).
CREATE TABLE IF NOT EXISTS flash_releases (
    order_id uuid PRIMARY KEY,
    promotion_uid text NOT NULL,
    buyer_id text NOT NULL,
    reason text NOT NULL,
    bucket bigint NOT NULL,
    outcome text NOT NULL,
    attempts bigint NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS flash_releases_pending ON flash_releases (bucket, next_attempt_at, order_id) WHERE outcome = 'PENDING';
