-- +goose Up
-- The orders that a campaign has looked at. Whoever grants something for an order, or takes it back, holds its row.
CREATE TABLE IF NOT EXISTS reward_orders (
    order_id uuid PRIMARY KEY,
    -- The order has ended: nothing is granted for it any more.
    withdrawn boolean NOT NULL
);
