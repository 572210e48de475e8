-- +goose Up
CREATE TABLE IF NOT EXISTS cart_lines (
    buyer_id text NOT NULL,
    sku text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    selected boolean NOT NULL,
    added_at timestamptz NOT NULL,
    PRIMARY KEY (buyer_id, sku)
);
