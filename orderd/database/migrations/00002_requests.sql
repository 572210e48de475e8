-- +goose Up
-- Mutations that had their effect, and what they were answered: a row is written in the transaction of the effect.
CREATE TABLE IF NOT EXISTS requests (
    scope text NOT NULL,
    request_id text NOT NULL,
    hash bytea NOT NULL,
    response bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (scope, request_id)
);
