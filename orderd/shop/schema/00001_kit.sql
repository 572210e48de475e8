-- +goose Up
-- What stands below every domain: settings, requests, leases, events, the audit.

-- Values of the whole OrderCluster, such as the order id key, that must survive everything else.
CREATE TABLE IF NOT EXISTS settings (
    key text PRIMARY KEY,
    value text NOT NULL
);

-- Mutations that had their effect, and what they were answered. A row is written in the transaction of
-- the effect.
CREATE TABLE IF NOT EXISTS requests (
    scope text NOT NULL,
    request_id text NOT NULL,
    hash bytea NOT NULL,
    response bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (scope, request_id)
);

-- Buckets of background work and the worker that has each; kind is the work.
CREATE TABLE IF NOT EXISTS leases (
    kind text NOT NULL,
    bucket bigint NOT NULL,
    owner text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (kind, bucket)
);

-- Live workers of a kind, which share its buckets.
CREATE TABLE IF NOT EXISTS lease_workers (
    kind text NOT NULL,
    worker text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (kind, worker)
);

-- Events that are not published yet. An order's rows are in one bucket, and their versions are in the
-- order in which the events happened.
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

-- What each consumer of ORDER_EVENTS did with each event: FAILED (it is tried again), DONE, or DEAD (it
-- is a dead letter). DONE is written in the transaction of the effect, and what is DONE is not done
-- again. Rows are kept a day longer than the stream keeps events.
CREATE TABLE IF NOT EXISTS consumed_events (
    bucket bigint NOT NULL,
    consumer text NOT NULL,
    event_id text NOT NULL,
    outcome text NOT NULL,
    attempts bigint NOT NULL,
    error text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, consumer, event_id)
);

-- What staff changed. A row is written before the change and completed after it; completed_at stays null
-- if the pod died in between.
CREATE TABLE IF NOT EXISTS audit_entries (
    at timestamptz NOT NULL,
    entry_id uuid NOT NULL,
    subject text NOT NULL,
    roles text[] NOT NULL,
    procedure text NOT NULL,
    request_id text NOT NULL,
    request text NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL DEFAULT '',
    completed_at timestamptz,
    PRIMARY KEY (at, entry_id)
);
-- What one member of staff did.
CREATE INDEX IF NOT EXISTS audit_entries_subject ON audit_entries (subject, at, entry_id);
