-- +goose Up
-- For a SKU and a bucket, the sums of the columns are its row of stock.
ALTER TABLE stock_movements ADD COLUMN IF NOT EXISTS bucket bigint NOT NULL DEFAULT 0;
