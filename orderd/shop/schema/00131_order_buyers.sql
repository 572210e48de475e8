-- +goose Up
-- How many orders of the standard lane a buyer has that are not paid, cancelled or expired, and how many units
-- are in them; without those that there is nothing to pay for. A row is locked from when it is changed until
-- that is committed, so that a buyer's orders are counted one after the other wherever they are placed.
CREATE TABLE IF NOT EXISTS order_buyers (
    buyer_id text PRIMARY KEY,
    orders bigint NOT NULL CHECK (orders >= 0),
    units bigint NOT NULL CHECK (units >= 0)
);
