-- +goose Up
-- What staff find orders by: a row an order, made from the order, its payment, parcels and returns whenever one of
-- them changes, and never the other way round. phone is its last digits, recipient in one Unicode form and case.
-- fulfilment, refund and return_state are as the API names them, return_state is empty for none. version is the order's
-- when the row was made, and made the number of the code that made it: a row that differs is made anew. A row whose
-- number is empty is being made.
CREATE TABLE IF NOT EXISTS desk_orders (
    order_id uuid PRIMARY KEY,
    number text NOT NULL DEFAULT '',
    buyer_id text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT '',
    fulfilment text NOT NULL DEFAULT '',
    refund text NOT NULL DEFAULT 'NONE',
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
    has_note boolean NOT NULL DEFAULT false,
    version bigint NOT NULL DEFAULT 0,
    made bigint NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS desk_orders_number ON desk_orders (number) WHERE number <> '';
-- All are partial, so that a row is in none while it is made. Their conditions differ, so that the planner has no choice:
-- for a state that it takes to be as frequent in all of them it would walk through years of orders.
CREATE INDEX IF NOT EXISTS desk_orders_created ON desk_orders (created_at, order_id) WHERE number <> '';
CREATE INDEX IF NOT EXISTS desk_orders_buyer ON desk_orders (buyer_id, created_at, order_id) WHERE made > 0;
CREATE INDEX IF NOT EXISTS desk_orders_state ON desk_orders (state, created_at, order_id) WHERE made > 0;
CREATE INDEX IF NOT EXISTS desk_orders_fulfilment ON desk_orders (fulfilment, created_at, order_id)
    WHERE made > 0;
CREATE INDEX IF NOT EXISTS desk_orders_state_fulfilment ON desk_orders (state, fulfilment, created_at, order_id)
    WHERE made > 0;
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
CREATE INDEX IF NOT EXISTS desk_orders_noted ON desk_orders (created_at, order_id) WHERE has_note;
CREATE INDEX IF NOT EXISTS desk_orders_paid ON desk_orders (paid_at, order_id) WHERE paid_at IS NOT NULL;

-- Orders whose row has to be made anew though no event says so. A row here is nobody's but the transaction's that adds
-- it, and so never waits for another.
CREATE TABLE IF NOT EXISTS desk_stale (
    stale_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    order_id uuid NOT NULL
);

-- How far the walk is that compares all orders with their rows: behind which order it goes on, not before when, and the
-- number of the code that walks.
CREATE TABLE IF NOT EXISTS desk_walk (
    name text PRIMARY KEY,
    after uuid NOT NULL,
    next_at timestamptz NOT NULL,
    made bigint NOT NULL
);

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
