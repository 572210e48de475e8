-- +goose Up
CREATE TABLE IF NOT EXISTS delivery_methods (
    name text PRIMARY KEY,
    title text NOT NULL,
    template text NOT NULL,
    position bigint NOT NULL,
    updated_at timestamptz NOT NULL
);
