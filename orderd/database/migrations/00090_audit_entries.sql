-- +goose Up
-- What staff changed: a row is written before the change and completed after it. completed_at stays null if the pod died in between.
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
