-- +goose Up
-- Whether stock may still be added to a promotion; its row is what adding to it waits for.
CREATE TABLE IF NOT EXISTS promotion_stock (
    promotion_uid text PRIMARY KEY,
    ended boolean NOT NULL DEFAULT false
);
