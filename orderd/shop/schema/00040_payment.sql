-- +goose Up
-- The provider knows a payment by method and reference, which is its own id of the session; its
-- transaction_id is that of a success, and paid_at is when that was by the provider's clock. expires_at
-- is when the order cannot be paid any more. next_query_at is when the provider is asked about the
-- payment next, and null once the payment has ended. statement_day is the provider's statement that has it.
CREATE TABLE IF NOT EXISTS payments (
    payment_id uuid PRIMARY KEY,
    order_id uuid NOT NULL,
    buyer_id text NOT NULL,
    provider text NOT NULL,
    method text NOT NULL,
    reference text NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    redirect_url text NOT NULL,
    transaction_id text NOT NULL,
    failure text NOT NULL DEFAULT '',
    bucket bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    next_query_at timestamptz,
    paid_at timestamptz,
    succeeded_at timestamptz,
    statement_day date
);
CREATE INDEX IF NOT EXISTS payments_order ON payments (order_id);
-- What the poller reads: a bucket's open payments by when they are to be asked about.
CREATE INDEX IF NOT EXISTS payments_open ON payments (bucket, next_query_at, payment_id)
    WHERE next_query_at IS NOT NULL;
-- What the reconciliation reads: a bucket's payments by when they succeeded.
CREATE INDEX IF NOT EXISTS payments_succeeded ON payments (bucket, succeeded_at, payment_id)
    WHERE succeeded_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS payment_history (
    payment_id uuid NOT NULL,
    version bigint NOT NULL,
    event text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (payment_id, version)
);

-- What providers told us and we handled, as it came, once by the provider's own transaction id.
CREATE TABLE IF NOT EXISTS payment_notifications (
    provider text NOT NULL,
    transaction_id text NOT NULL,
    payment_id uuid NOT NULL,
    raw bytea NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (provider, transaction_id)
);

-- What a provider has signed and we do not believe, once by the hash of what came, for staff to see.
CREATE TABLE IF NOT EXISTS refused_notifications (
    provider text NOT NULL,
    hash bytea NOT NULL,
    reason text NOT NULL,
    transaction_id text NOT NULL,
    payment_id uuid,
    raw bytea NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (provider, hash)
);
CREATE INDEX IF NOT EXISTS refused_notifications_received ON refused_notifications (received_at, provider, hash);

-- Money that has to go back. transaction_id is what the refund is for, once: a transaction of the
-- provider's that is due back as a whole, or "order/", the order, and the key of the order's grant, which
-- is order_key. paid_by is the transaction that the money comes from. seq counts the refunds from one
-- transaction, and left_after is what is left of it; both together keep their sum within what was paid.
-- asked_as is the id that the provider knows the refund by, if it is not refund_id: after a failure that
-- is final for the provider. next_attempt_at is null when nothing happens any more on its own.
CREATE TABLE IF NOT EXISTS refunds (
    refund_id uuid PRIMARY KEY,
    provider text NOT NULL,
    transaction_id text NOT NULL,
    payment_id uuid NOT NULL,
    order_id uuid NOT NULL,
    order_key text NOT NULL,
    paid_by text NOT NULL,
    seq bigint NOT NULL,
    left_after bigint NOT NULL CHECK (left_after >= 0),
    state text NOT NULL,
    version bigint NOT NULL,
    reason text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    asked_as uuid,
    provider_refund_id text NOT NULL DEFAULT '',
    failure text NOT NULL DEFAULT '',
    failure_final boolean NOT NULL DEFAULT false,
    attempts bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    bucket bigint NOT NULL,
    created_at timestamptz NOT NULL,
    next_attempt_at timestamptz,
    succeeded_at timestamptz,
    statement_day date,
    UNIQUE (provider, transaction_id)
);
CREATE UNIQUE INDEX IF NOT EXISTS refunds_sequence ON refunds (payment_id, paid_by, seq);
-- What the worker reads: a bucket's refunds by when they are due.
CREATE INDEX IF NOT EXISTS refunds_due ON refunds (bucket, next_attempt_at, refund_id) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS refunds_order ON refunds (order_id, created_at, refund_id);
-- What staff read, oldest first.
CREATE INDEX IF NOT EXISTS refunds_state ON refunds (state, created_at, refund_id);
CREATE INDEX IF NOT EXISTS refunds_asked_as ON refunds (asked_as) WHERE asked_as IS NOT NULL;
-- What the reconciliation reads.
CREATE INDEX IF NOT EXISTS refunds_succeeded ON refunds (bucket, succeeded_at, refund_id) WHERE succeeded_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS refund_history (
    refund_id uuid NOT NULL,
    version bigint NOT NULL,
    event text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (refund_id, version)
);

-- One day of one provider's statement against what is here. next_attempt_at is null once it is done.
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

-- What a statement and we do not agree on. subject is the provider's transaction, or our id of what its
-- statement lacks. ours_* are empty when it is not here, theirs_* when it is not there.
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

-- What the sandbox knows, as a payment provider would on its own machines. A payment that was paid or
-- closed has the zero refund_id, a refund its own.
CREATE TABLE IF NOT EXISTS sandbox_transactions (
    payment_id uuid NOT NULL,
    refund_id uuid NOT NULL,
    state text NOT NULL,
    transaction_id text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (payment_id, refund_id)
);
-- What its statement of a day reads.
CREATE INDEX IF NOT EXISTS sandbox_transactions_at ON sandbox_transactions (at, payment_id, refund_id);
