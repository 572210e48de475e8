-- +goose Up
CREATE TABLE IF NOT EXISTS shipment_history (
    shipment_id uuid NOT NULL,
    version bigint NOT NULL,
    event text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (shipment_id, version)
);
