-- +goose Up
-- Which promotion took stock last under a namespace and a name. While it holds stock no other one of the name gets any,
-- as after a restore from a backup, which gives the resource another uid.
CREATE TABLE IF NOT EXISTS promotion_names (
    namespace text NOT NULL,
    name text NOT NULL,
    promotion_uid text NOT NULL,
    PRIMARY KEY (namespace, name)
);
