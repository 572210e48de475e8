-- +goose Up
-- An empty region is all of the country, an empty country all others.
CREATE TABLE IF NOT EXISTS freight_rules (
    template text NOT NULL,
    country text NOT NULL,
    region text NOT NULL,
    not_deliverable boolean NOT NULL,
    first_units bigint NOT NULL,
    first_charge bigint NOT NULL,
    additional_units bigint NOT NULL,
    additional_charge bigint NOT NULL,
    free_from bigint,
    PRIMARY KEY (template, country, region)
);
