-- +goose Up
CREATE TABLE IF NOT EXISTS shipment_lines (
    shipment_id uuid NOT NULL,
    line bigint NOT NULL,
    sku text NOT NULL,
    title text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (shipment_id, line)
);
