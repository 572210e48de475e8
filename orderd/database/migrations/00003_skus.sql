-- +goose Up
CREATE TABLE IF NOT EXISTS skus (
    sku text PRIMARY KEY,
    title text NOT NULL,
    unit_price bigint NOT NULL CHECK (unit_price >= 0),
    currency text NOT NULL,
    on_sale boolean NOT NULL,
    updated_at timestamptz NOT NULL
);
