-- +goose Up
CREATE TABLE IF NOT EXISTS freight_templates (
    name text PRIMARY KEY,
    currency text NOT NULL,
    charge_by text NOT NULL,
    updated_at timestamptz NOT NULL
);

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

CREATE TABLE IF NOT EXISTS delivery_methods (
    name text PRIMARY KEY,
    title text NOT NULL,
    template text NOT NULL,
    position bigint NOT NULL,
    updated_at timestamptz NOT NULL
);
