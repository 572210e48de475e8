-- +goose Up
-- The texts that marketing wrote for what buyers' devices are told, by event and language.
CREATE TABLE IF NOT EXISTS push_templates (
    event text NOT NULL,
    language text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    muted boolean NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (event, language)
);

-- The language a buyer is told in, where they chose one.
CREATE TABLE IF NOT EXISTS push_languages (
    buyer_id text PRIMARY KEY,
    language text NOT NULL,
    updated_at timestamptz NOT NULL
);
