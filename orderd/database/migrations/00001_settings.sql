-- +goose Up
-- Values of the whole OrderCluster, such as the order id key, that must survive everything else.
CREATE TABLE settings (
    key text PRIMARY KEY,
    value text NOT NULL
);
