-- +goose Up
-- One day of one provider's statement against what is here. next_attempt_at is NULL once it is done.
CREATE TABLE IF NOT EXISTS reconciliations (
    provider text NOT NULL,
    day date NOT NULL,
    state text NOT NULL,
    rows_read bigint NOT NULL DEFAULT 0,
    attempts bigint NOT NULL DEFAULT 0,
    failure text NOT NULL DEFAULT '',
    requested_at timestamptz NOT NULL,
    next_attempt_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (provider, day)
);
