-- +goose Up
-- How much may be given away of a template or by a campaign. A budget is spread over buckets, so that the
-- transactions that take from it seldom wait for each other; the sum of its rows is the budget.
CREATE TABLE IF NOT EXISTS budgets (
    owner text NOT NULL,
    bucket bigint NOT NULL,
    -- Of the terms that are in force; nothing is taken under others.
    revision bigint NOT NULL,
    enabled boolean NOT NULL,
    -- The number of the bucket's first unit.
    first_unit bigint NOT NULL,
    capacity bigint NOT NULL,
    remaining bigint NOT NULL CHECK (remaining >= 0 AND remaining <= capacity),
    PRIMARY KEY (owner, bucket)
);
