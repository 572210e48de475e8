-- +goose Up
CREATE UNIQUE INDEX IF NOT EXISTS refunds_sequence ON refunds (payment_id, paid_by, seq);
CREATE INDEX IF NOT EXISTS refunds_due ON refunds (bucket, next_attempt_at, refund_id) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS refunds_order ON refunds (order_id, created_at, refund_id);
CREATE INDEX IF NOT EXISTS refunds_state ON refunds (state, created_at, refund_id);
CREATE INDEX IF NOT EXISTS refunds_asked_as ON refunds (asked_as) WHERE asked_as IS NOT NULL;
CREATE INDEX IF NOT EXISTS refunds_succeeded ON refunds (bucket, succeeded_at, refund_id) WHERE succeeded_at IS NOT NULL;
