-- +goose Up
-- The language a buyer is told in, where they chose one.
CREATE TABLE IF NOT EXISTS push_languages (
    buyer_id text PRIMARY KEY,
    language text NOT NULL,
    updated_at timestamptz NOT NULL
);
