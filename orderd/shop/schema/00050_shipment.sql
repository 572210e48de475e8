-- +goose Up
-- source is what asked for the shipment, once an order. work is what the worker does next (REQUEST,
-- CANCEL, TRACK, or nothing), at due_at. fetched_at is when the carrier last told all it knows.
CREATE TABLE IF NOT EXISTS shipments (
    shipment_id uuid PRIMARY KEY,
    order_id uuid NOT NULL,
    buyer_id text NOT NULL,
    source text NOT NULL,
    carrier text NOT NULL,
    tracking_number text NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL,
    exception text NOT NULL,
    address jsonb NOT NULL,
    delivery_method text NOT NULL,
    bucket bigint NOT NULL,
    work text NOT NULL,
    due_at timestamptz NOT NULL,
    attempts bigint NOT NULL,
    events bigint NOT NULL CHECK (events >= 0),
    created_at timestamptz NOT NULL,
    shipped_at timestamptz,
    delivered_at timestamptz,
    fetched_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS shipments_order ON shipments (order_id, source);
-- What the workers read: a bucket's work of one kind by when it is due.
CREATE INDEX IF NOT EXISTS shipments_work ON shipments (work, bucket, due_at, shipment_id) WHERE work <> '';
-- What staff read, oldest first.
CREATE INDEX IF NOT EXISTS shipments_state ON shipments (state, created_at, shipment_id);
CREATE INDEX IF NOT EXISTS shipments_created ON shipments (created_at, shipment_id);

CREATE TABLE IF NOT EXISTS shipment_lines (
    shipment_id uuid NOT NULL,
    line bigint NOT NULL,
    sku text NOT NULL,
    title text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (shipment_id, line)
);

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
