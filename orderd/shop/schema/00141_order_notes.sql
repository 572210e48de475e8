-- +goose Up
-- What staff wrote about orders for colleagues; version is the order's after it.
CREATE TABLE IF NOT EXISTS order_notes (
    order_id uuid NOT NULL,
    version bigint NOT NULL,
    text text NOT NULL,
    author text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (order_id, version)
);
