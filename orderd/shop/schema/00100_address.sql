-- +goose Up
-- One row a buyer, which is locked while the buyer's addresses are changed: it keeps their number bounded
-- and the default one.
CREATE TABLE IF NOT EXISTS address_books (
    buyer_id text PRIMARY KEY,
    updated_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS addresses (
    buyer_id text NOT NULL,
    address_id uuid NOT NULL,
    recipient text NOT NULL,
    phone text NOT NULL,
    country text NOT NULL,
    region text NOT NULL,
    city text NOT NULL,
    district text NOT NULL,
    street text NOT NULL,
    postal_code text NOT NULL,
    is_default boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (buyer_id, address_id)
);
