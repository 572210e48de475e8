-- +goose Up
-- Of quantity, restock goes back in stock and the rest is written off; refund is the line's part of the return's.
CREATE TABLE IF NOT EXISTS return_lines (
    return_id uuid NOT NULL,
    line bigint NOT NULL,
    sku text NOT NULL,
    title text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    restock bigint NOT NULL CHECK (restock >= 0),
    refund bigint NOT NULL CHECK (refund >= 0),
    PRIMARY KEY (return_id, line)
);
