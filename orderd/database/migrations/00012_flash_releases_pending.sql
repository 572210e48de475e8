-- +goose Up
CREATE INDEX flash_releases_pending ON flash_releases (bucket, next_attempt_at, order_id) WHERE outcome = 'PENDING';
