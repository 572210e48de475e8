-- +goose Up
-- Every change of stock. The key is what the change belongs to (order id, promotion uid, request), what it does and
-- the SKU, so that a change happens once. For a SKU, the sums of the columns are its row of stock.
CREATE TABLE IF NOT EXISTS stock_movements (
    ref text NOT NULL,
    kind text NOT NULL,
    sku text NOT NULL,
    available bigint NOT NULL,
    reserved bigint NOT NULL,
    deducted bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (ref, kind, sku)
);
