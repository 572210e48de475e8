-- +goose Up
-- One row a buyer, which is locked while the cart is changed: it keeps the number of lines bounded.
CREATE TABLE IF NOT EXISTS carts (
    buyer_id text PRIMARY KEY,
    updated_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS cart_lines (
    buyer_id text NOT NULL,
    sku text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    selected boolean NOT NULL,
    added_at timestamptz NOT NULL,
    PRIMARY KEY (buyer_id, sku)
);
