-- +goose Up
-- What a statement and we do not agree on. subject is the provider's transaction, or our id of what its statement lacks. ours_* are empty
-- when it is not here, theirs_* when it is not there.
CREATE TABLE IF NOT EXISTS reconciliation_differences (
    provider text NOT NULL,
    day date NOT NULL,
    subject text NOT NULL,
    kind text NOT NULL,
    subject_kind text NOT NULL,
    transaction_id text NOT NULL,
    payment_id uuid,
    refund_id uuid,
    ours_state text NOT NULL,
    ours_amount bigint NOT NULL,
    ours_currency text NOT NULL,
    theirs_amount bigint NOT NULL,
    theirs_currency text NOT NULL,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (provider, day, subject, kind)
);
