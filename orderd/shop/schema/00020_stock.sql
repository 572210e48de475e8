-- +goose Up
-- A hot SKU's stock is spread over several rows, its buckets. spread, which counts on bucket 0 only, is
-- over how many.
CREATE TABLE IF NOT EXISTS stock (
    sku text NOT NULL,
    bucket bigint NOT NULL DEFAULT 0 CHECK (bucket >= 0),
    spread bigint NOT NULL DEFAULT 1 CHECK (spread >= 1),
    available bigint NOT NULL CHECK (available >= 0),
    reserved bigint NOT NULL CHECK (reserved >= 0),
    deducted bigint NOT NULL CHECK (deducted >= 0),
    PRIMARY KEY (sku, bucket)
);

-- Every change of stock. The key is what the change belongs to (order id, promotion uid, request), what
-- it does, and the SKU, so that a change happens once. For a SKU and a bucket, the sums of the columns
-- are its row of stock.
CREATE TABLE IF NOT EXISTS stock_movements (
    ref text NOT NULL,
    kind text NOT NULL,
    sku text NOT NULL,
    bucket bigint NOT NULL,
    available bigint NOT NULL,
    reserved bigint NOT NULL,
    deducted bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (ref, kind, sku)
);

-- Whether stock may still be added to a promotion. Whoever adds some waits for the promotion's row.
CREATE TABLE IF NOT EXISTS promotion_stock (
    promotion_uid text PRIMARY KEY,
    ended boolean NOT NULL DEFAULT false
);

-- Stock added to a promotion after its allocation, numbered from 1 in each promotion. Each row has a
-- movement of stock.
CREATE TABLE IF NOT EXISTS promotion_top_ups (
    promotion_uid text NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    sku text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (promotion_uid, number)
);
