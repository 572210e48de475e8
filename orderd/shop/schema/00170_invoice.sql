-- +goose Up
-- What buyers want on invoices, and what was made out. kind, title, tax_id and email are as they were asked for;
-- number, issued_at, amount and file are the document's, once there is one, and voiding_number that of the one that
-- voided it. exceeds is what finance finds those by that are issued for more than is left of what was paid.
CREATE TABLE IF NOT EXISTS invoices (
    invoice_id uuid PRIMARY KEY,
    order_id uuid NOT NULL,
    buyer_id text NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL,
    kind text NOT NULL,
    title text NOT NULL,
    tax_id text NOT NULL,
    email text NOT NULL,
    currency text NOT NULL,
    number text NOT NULL,
    issued_at timestamptz,
    amount bigint CHECK (amount > 0),
    file text NOT NULL,
    reason text NOT NULL,
    voiding_number text NOT NULL,
    exceeds boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT invoices_issued_has_document CHECK (state <> 'ISSUED' OR issued_at IS NOT NULL AND amount IS NOT NULL)
);
-- An order has one at most that is asked for or issued.
CREATE UNIQUE INDEX IF NOT EXISTS invoices_open ON invoices (order_id) WHERE state IN ('REQUESTED', 'ISSUED');
CREATE INDEX IF NOT EXISTS invoices_order ON invoices (order_id, created_at, invoice_id);
-- What finance reads, oldest first.
CREATE INDEX IF NOT EXISTS invoices_state ON invoices (state, created_at, invoice_id);
CREATE INDEX IF NOT EXISTS invoices_created ON invoices (created_at, invoice_id);
CREATE INDEX IF NOT EXISTS invoices_exceeds ON invoices (created_at, invoice_id) WHERE exceeds;

CREATE TABLE IF NOT EXISTS invoice_history (
    invoice_id uuid NOT NULL,
    version bigint NOT NULL,
    event text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (invoice_id, version)
);
