-- +goose Up
-- Stock added to a promotion after its allocation, numbered from 1 in each promotion. Each has a movement of stock.
CREATE TABLE IF NOT EXISTS promotion_top_ups (
    promotion_uid text NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    sku text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (promotion_uid, number)
);
