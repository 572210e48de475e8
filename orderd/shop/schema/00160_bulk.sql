-- +goose Up
-- Jobs that do what each row of a file says. Rows are done in their order, so done + failed is also the number of the
-- last one that has its answer, and whoever does the next one has locked the job. header is a JSON list; due_at is when
-- a running job is looked at again after attempts failures of the same row.
CREATE TABLE IF NOT EXISTS bulk_jobs (
    job_id uuid PRIMARY KEY,
    kind text NOT NULL,
    state text NOT NULL,
    dry_run boolean NOT NULL,
    header text NOT NULL,
    delimiter text NOT NULL,
    total bigint NOT NULL,
    done bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    bucket bigint NOT NULL,
    due_at timestamptz NOT NULL,
    attempts bigint NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS bulk_jobs_created ON bulk_jobs (created_at, job_id);
CREATE INDEX IF NOT EXISTS bulk_jobs_running ON bulk_jobs (bucket, created_at, job_id) WHERE state = 'RUNNING';

-- The rows of the jobs' files, with their answers. cells is a JSON list; state is LEFT, DONE or FAILED.
CREATE TABLE IF NOT EXISTS bulk_rows (
    job_id uuid NOT NULL,
    number bigint NOT NULL,
    line bigint NOT NULL,
    cells text NOT NULL,
    state text NOT NULL,
    code text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    field text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    at timestamptz,
    PRIMARY KEY (job_id, number)
);
