-- +goose Up
-- Values of the whole OrderCluster, such as the order id key, that must survive everything else.
CREATE TABLE IF NOT EXISTS settings (
    key text PRIMARY KEY,
    value text NOT NULL
);
