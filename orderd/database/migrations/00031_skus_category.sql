-- +goose Up
-- What lists of a category read.
CREATE INDEX IF NOT EXISTS skus_category ON skus (category, sku);
