-- +goose Up
-- What the expirer reads: a bucket's unpaid orders by their expiry.
CREATE INDEX orders_unpaid ON orders (bucket, expires_at, order_id) WHERE state = 'PENDING_PAYMENT';
