-- +goose Up
-- Rates of tax, which SKUs name.
CREATE TABLE IF NOT EXISTS tax_classes (
    name text PRIMARY KEY,
    title text NOT NULL,
    rate_basis_points bigint NOT NULL CHECK (rate_basis_points >= 0),
    updated_at timestamptz NOT NULL
);
