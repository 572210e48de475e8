-- +goose Up
-- version counts the changes of an order's state and numbers its history and its outbox rows. Money is
-- in the currency's minor unit: the goods are total + discount - freight, and tax is included in total.
-- coupon_ids are those the order was placed with. payment_id is the payment that counts: every order
-- that was paid has one, unless there was nothing to pay.
CREATE TABLE IF NOT EXISTS orders (
    order_id uuid PRIMARY KEY,
    buyer_id text NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL,
    currency text NOT NULL,
    total bigint NOT NULL CHECK (total >= 0),
    discount bigint NOT NULL DEFAULT 0 CHECK (discount >= 0),
    freight bigint NOT NULL DEFAULT 0 CHECK (freight >= 0),
    tax bigint NOT NULL DEFAULT 0 CHECK (tax >= 0),
    promotion_uid text NOT NULL,
    promotion text NOT NULL,
    address jsonb,
    delivery_method text NOT NULL DEFAULT '',
    invoice jsonb,
    coupon_ids uuid[] NOT NULL DEFAULT '{}',
    payment_id uuid,
    bucket bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    paid_at timestamptz,
    shipped_at timestamptz,
    delivered_at timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz,
    cancel_reason text NOT NULL DEFAULT '',
    CONSTRAINT orders_paid_has_payment CHECK (paid_at IS NULL OR payment_id IS NOT NULL OR total = 0)
);
-- What the expirer reads: a bucket's unpaid orders by their expiry.
CREATE INDEX IF NOT EXISTS orders_unpaid ON orders (bucket, expires_at, order_id) WHERE state = 'PENDING_PAYMENT';
-- What the completer reads: a bucket's delivered orders by when they were delivered.
CREATE INDEX IF NOT EXISTS orders_delivered ON orders (bucket, delivered_at, order_id) WHERE state = 'DELIVERED';
-- What the settlement of a promotion reads.
CREATE INDEX IF NOT EXISTS orders_promotion ON orders (promotion_uid, order_id) WHERE promotion_uid <> '';

-- A line's total is quantity * unit_price - discount + freight. Of its quantity, shipping is in parcels
-- that have not left, shipped has left, delivered of these has arrived, returned was refunded, withdrawn
-- of these never left. refund_granted and refunded are money.
CREATE TABLE IF NOT EXISTS order_lines (
    order_id uuid NOT NULL,
    line bigint NOT NULL,
    sku text NOT NULL,
    title text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    unit_price bigint NOT NULL CHECK (unit_price >= 0),
    discount bigint NOT NULL CHECK (discount >= 0),
    freight bigint NOT NULL CHECK (freight >= 0),
    tax bigint NOT NULL CHECK (tax >= 0),
    shipping bigint NOT NULL DEFAULT 0 CHECK (shipping >= 0),
    shipped bigint NOT NULL DEFAULT 0 CHECK (shipped >= 0),
    delivered bigint NOT NULL DEFAULT 0 CHECK (delivered >= 0),
    returned bigint NOT NULL DEFAULT 0 CHECK (returned >= 0),
    withdrawn bigint NOT NULL DEFAULT 0 CHECK (withdrawn >= 0),
    refund_granted bigint NOT NULL DEFAULT 0 CHECK (refund_granted >= 0),
    refunded bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    PRIMARY KEY (order_id, line)
);

-- Who changed an order's state, when and why.
CREATE TABLE IF NOT EXISTS order_history (
    order_id uuid NOT NULL,
    version bigint NOT NULL,
    event text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (order_id, version)
);

-- What of an order's lines was granted back, by the key of what asked for it (a cancellation, a return).
-- refund_id and refunded_at are set when the provider has paid it back.
CREATE TABLE IF NOT EXISTS order_refunds (
    order_id uuid NOT NULL,
    key text NOT NULL,
    line bigint NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    amount bigint NOT NULL CHECK (amount >= 0),
    granted_at timestamptz NOT NULL,
    refund_id uuid,
    refunded_at timestamptz,
    PRIMARY KEY (order_id, key, line)
);

-- Cancelled and expired flash orders whose stock has to go back into their sale. outcome is PENDING until
-- the partition's owner has answered, then RELEASED (in the log) or CREDITED (the partition was closed:
-- the stock is back in the database).
-- A flash order that the database refused for good is here and not in orders. Its reason is UNWRITABLE,
-- its reservation is the order (a protobuf orderd.flash.v1.Reservation), and its refusal says why;
-- buyer_id is empty, since what was refused may be the buyer.
CREATE TABLE IF NOT EXISTS flash_releases (
    order_id uuid PRIMARY KEY,
    promotion_uid text NOT NULL,
    buyer_id text NOT NULL,
    reason text NOT NULL,
    bucket bigint NOT NULL,
    outcome text NOT NULL,
    attempts bigint NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    reservation bytea,
    refusal text NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS flash_releases_pending ON flash_releases (bucket, next_attempt_at, order_id)
    WHERE outcome = 'PENDING';
-- What the settlement of a promotion reads of unwritable orders.
CREATE INDEX IF NOT EXISTS flash_releases_unwritable ON flash_releases (promotion_uid, order_id)
    WHERE reservation IS NOT NULL;
