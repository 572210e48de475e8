-- +goose Up
ALTER TABLE skus
    ADD COLUMN IF NOT EXISTS weight_grams bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS tax_class text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS category text NOT NULL DEFAULT '';
