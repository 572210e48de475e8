-- +goose Up
-- In one statement, because a table is never without a primary key.
ALTER TABLE stock DROP CONSTRAINT stock_pkey, ADD CONSTRAINT stock_pkey PRIMARY KEY (sku, bucket);
