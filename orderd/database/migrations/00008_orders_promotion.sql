-- +goose Up
-- What the settlement of a promotion reads.
CREATE INDEX orders_promotion ON orders (promotion_uid, order_id) WHERE promotion_uid <> '';
