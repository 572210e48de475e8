-- +goose Up
-- Events that are not published yet. An order's rows are in one bucket, and its versions are in the order they happened.
CREATE TABLE IF NOT EXISTS outbox (
    bucket bigint NOT NULL,
    order_id uuid NOT NULL,
    version bigint NOT NULL,
    event text NOT NULL,
    type text NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, order_id, version)
);
