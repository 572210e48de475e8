-- +goose Up
-- A hot SKU's stock is spread over several rows. spread, on bucket 0, is over how many.
ALTER TABLE stock
    ADD COLUMN IF NOT EXISTS bucket bigint NOT NULL DEFAULT 0 CHECK (bucket >= 0),
    ADD COLUMN IF NOT EXISTS spread bigint NOT NULL DEFAULT 1 CHECK (spread >= 1);
