-- +goose Up
-- Who changed an order's state, when and why.
CREATE TABLE IF NOT EXISTS order_history (
    order_id uuid NOT NULL,
    version bigint NOT NULL,
    event text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (order_id, version)
);
