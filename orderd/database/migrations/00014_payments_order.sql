-- +goose Up
CREATE INDEX payments_order ON payments (order_id);
