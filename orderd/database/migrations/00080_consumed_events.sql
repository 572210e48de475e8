-- +goose Up
-- What each consumer of ORDER_EVENTS did with each event: FAILED (is tried again), DONE, or DEAD (is a dead letter).
-- DONE is written in the transaction of the effect, and what is DONE is not done again. Kept a day longer than the stream keeps events.
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
