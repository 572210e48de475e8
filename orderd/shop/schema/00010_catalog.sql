-- +goose Up
-- unit_price is in the currency's minor unit.
CREATE TABLE IF NOT EXISTS skus (
    sku text PRIMARY KEY,
    title text NOT NULL,
    unit_price bigint NOT NULL CHECK (unit_price >= 0),
    currency text NOT NULL,
    on_sale boolean NOT NULL,
    weight_grams bigint NOT NULL DEFAULT 0,
    tax_class text NOT NULL DEFAULT '',
    category text NOT NULL DEFAULT '',
    updated_at timestamptz NOT NULL
);
-- What lists of a category read.
CREATE INDEX IF NOT EXISTS skus_category ON skus (category, sku);
