-- +goose Up
-- What the completer reads: a bucket's delivered orders by when they were delivered.
CREATE INDEX IF NOT EXISTS orders_delivered ON orders (bucket, delivered_at, order_id) WHERE state = 'DELIVERED';
