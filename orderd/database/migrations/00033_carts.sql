-- +goose Up
-- One row a buyer, which is locked while the cart is changed: it is what keeps the number of lines bounded.
CREATE TABLE IF NOT EXISTS carts (
    buyer_id text PRIMARY KEY,
    updated_at timestamptz NOT NULL
);
