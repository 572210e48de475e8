-- +goose Up
-- What carriers and staff told of a parcel, once by the teller's own id of it, whether pushed or polled.
CREATE TABLE IF NOT EXISTS shipment_events (
    shipment_id uuid NOT NULL,
    event_id text NOT NULL,
    code text NOT NULL,
    description text NOT NULL,
    location text NOT NULL,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    actor text NOT NULL,
    PRIMARY KEY (shipment_id, event_id)
);
