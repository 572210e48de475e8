-- +goose Up
-- How many coupons of a template a buyer has had.
CREATE TABLE IF NOT EXISTS coupon_claims (
    buyer_id text NOT NULL,
    template text NOT NULL,
    claimed bigint NOT NULL CHECK (claimed >= 0),
    PRIMARY KEY (buyer_id, template)
);
