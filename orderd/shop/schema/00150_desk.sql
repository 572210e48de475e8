-- +goose Up
-- What staff find orders by: a row an order, made from the order, its payment, parcels and returns whenever one of
-- them changes, and never the other way round. phone is its last digits, recipient in one Unicode form and case.
-- fulfilment, refund and return_state are as the API names them, empty for none.
CREATE TABLE IF NOT EXISTS desk_orders (
    order_id uuid PRIMARY KEY,
    number text NOT NULL DEFAULT '',
    buyer_id text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT '',
    fulfilment text NOT NULL DEFAULT '',
    refund text NOT NULL DEFAULT '',
    return_state text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT '1970-01-01Z',
    paid_at timestamptz,
    currency text NOT NULL DEFAULT '',
    total bigint NOT NULL DEFAULT 0,
    phone text NOT NULL DEFAULT '',
    recipient text NOT NULL DEFAULT '',
    promotion text NOT NULL DEFAULT '',
    provider text NOT NULL DEFAULT '',
    method text NOT NULL DEFAULT '',
    channel text NOT NULL DEFAULT '',
    has_note boolean NOT NULL DEFAULT false
);
CREATE INDEX IF NOT EXISTS desk_orders_number ON desk_orders (number);
-- All orders, for queries that say so: see orderd/shop/desk.
CREATE INDEX IF NOT EXISTS desk_orders_created ON desk_orders (created_at, order_id) WHERE number <> '';
CREATE INDEX IF NOT EXISTS desk_orders_buyer ON desk_orders (buyer_id, created_at, order_id);
CREATE INDEX IF NOT EXISTS desk_orders_state ON desk_orders (state, created_at, order_id);
CREATE INDEX IF NOT EXISTS desk_orders_fulfilment ON desk_orders (fulfilment, created_at, order_id);
CREATE INDEX IF NOT EXISTS desk_orders_state_fulfilment ON desk_orders (state, fulfilment, created_at, order_id);
CREATE INDEX IF NOT EXISTS desk_orders_refund ON desk_orders (refund, created_at, order_id)
    WHERE refund <> 'NONE';
CREATE INDEX IF NOT EXISTS desk_orders_return ON desk_orders (return_state, created_at, order_id)
    WHERE return_state <> '';
CREATE INDEX IF NOT EXISTS desk_orders_phone ON desk_orders (phone, created_at, order_id) WHERE phone <> '';
CREATE INDEX IF NOT EXISTS desk_orders_recipient ON desk_orders (recipient, created_at, order_id)
    WHERE recipient <> '';
CREATE INDEX IF NOT EXISTS desk_orders_promotion ON desk_orders (promotion, created_at, order_id)
    WHERE promotion <> '';
CREATE INDEX IF NOT EXISTS desk_orders_provider ON desk_orders (provider, created_at, order_id)
    WHERE provider <> '';
CREATE INDEX IF NOT EXISTS desk_orders_channel ON desk_orders (channel, created_at, order_id) WHERE channel <> '';

-- What an order has several of, so that each is found in the order of time: kind is sku, tag, coupon, transaction,
-- tracking or attribute (key=value).
CREATE TABLE IF NOT EXISTS desk_terms (
    order_id uuid NOT NULL,
    kind text NOT NULL,
    term text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, kind, term)
);
CREATE INDEX IF NOT EXISTS desk_terms_term ON desk_terms (kind, term, created_at, order_id);
