-- +goose Up
-- Each buyer's first paid order.
CREATE TABLE IF NOT EXISTS reward_first_orders (
    buyer_id text PRIMARY KEY,
    order_id uuid NOT NULL
);
