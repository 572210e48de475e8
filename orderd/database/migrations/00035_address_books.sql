-- +goose Up
-- One row a buyer, which is locked while their addresses are changed: it is what keeps their number bounded and the
-- default one.
CREATE TABLE IF NOT EXISTS address_books (
    buyer_id text PRIMARY KEY,
    updated_at timestamptz NOT NULL
);
