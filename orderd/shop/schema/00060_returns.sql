-- +goose Up
-- unshipped: the units had not left when the return was requested. refund is set once it is granted.
CREATE TABLE IF NOT EXISTS returns (
    return_id uuid PRIMARY KEY,
    order_id uuid NOT NULL,
    buyer_id text NOT NULL,
    kind text NOT NULL,
    unshipped boolean NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL,
    reason text NOT NULL,
    description text NOT NULL,
    pictures text[] NOT NULL,
    rejection text NOT NULL,
    carrier text NOT NULL,
    tracking_number text NOT NULL,
    currency text NOT NULL,
    refund bigint CHECK (refund >= 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS returns_order ON returns (order_id);
-- What buyers read, newest first.
CREATE INDEX IF NOT EXISTS returns_buyer ON returns (buyer_id, created_at, return_id);
-- What staff read, oldest first.
CREATE INDEX IF NOT EXISTS returns_state ON returns (state, created_at, return_id);
CREATE INDEX IF NOT EXISTS returns_created ON returns (created_at, return_id);

-- Of quantity, restock goes back in stock and the rest is written off. refund is the line's part of the
-- return's.
CREATE TABLE IF NOT EXISTS return_lines (
    return_id uuid NOT NULL,
    line bigint NOT NULL,
    sku text NOT NULL,
    title text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    restock bigint NOT NULL CHECK (restock >= 0),
    refund bigint NOT NULL CHECK (refund >= 0),
    PRIMARY KEY (return_id, line)
);

CREATE TABLE IF NOT EXISTS return_history (
    return_id uuid NOT NULL,
    version bigint NOT NULL,
    event text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (return_id, version)
);
