-- +goose Up
CREATE TABLE IF NOT EXISTS freight_templates (
    name text PRIMARY KEY,
    currency text NOT NULL,
    charge_by text NOT NULL,
    updated_at timestamptz NOT NULL
);
