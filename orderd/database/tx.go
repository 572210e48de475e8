package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/cockroach-go/v2/crdb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// maxAttempts of a transaction that meets deadlocks, each of which has retries inside as well.
	maxAttempts = 8
	firstDelay  = 2 * time.Millisecond
)

// txOptions ask for READ COMMITTED, which CockroachDB 22.1 takes as SERIALIZABLE. Every transaction of
// orderd is right at both levels: it changes a row only by a statement that carries its condition
// (available >= n, state = …) or after it locked the row with FOR UPDATE, it takes its locks in
// one order (request, payments, refunds, returns, shipments, orders, coupons, stock; each by key), and what may happen once is a
// unique key.
// It never decides from a row that it read without a lock. On PostgreSQL the level has to be this
// one: crdb retries inside the transaction, by a savepoint, and above READ COMMITTED the retry would see
// the snapshot that failed before.
var txOptions = pgx.TxOptions{IsoLevel: pgx.ReadCommitted}

// ExecuteTx runs fn in a transaction and commits. fn runs again after a conflict with another
// transaction, so it must have no effect but on the transaction and must set, not add to, what it
// hands out. If the outcome of the commit is not known, the error's class is Unknown; it is not
// retried here: the caller's own retry finds what happened by its request id or unique key.
func ExecuteTx(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	delay := firstDelay
	for attempt := 1; ; attempt++ {
		err := executeOnce(ctx, pool, fn)
		if err == nil || ClassOf(err) != Retry || attempt == maxAttempts {
			return err
		}
		countRetry(pool)
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), err)
		}
		delay *= 2
	}
}

func executeOnce(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	tx, err := pool.BeginTx(ctx, txOptions)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	a := &adapter{tx: tx}
	runs := 0
	err = crdb.ExecuteInTx(ctx, a, func() error {
		if runs++; runs > 1 {
			countRetry(pool)
		}
		return fn(tx)
	})
	if err != nil {
		return err
	}
	switch {
	case a.commitErr == nil:
		return nil
	case ClassOf(a.commitErr) == Retry:
		return a.commitErr
	}
	return &UnknownOutcomeError{cause: a.commitErr}
}

// UnknownOutcomeError says that a commit was sent and its answer did not come.
type UnknownOutcomeError struct{ cause error }

// Error says so.
func (e *UnknownOutcomeError) Error() string {
	return "outcome of the commit is unknown: " + e.cause.Error()
}

// Unwrap is what happened to the connection.
func (e *UnknownOutcomeError) Unwrap() error { return e.cause }

// adapter keeps the error of COMMIT, which crdb drops: on CockroachDB the RELEASE before it has
// committed already, but on PostgreSQL nothing is committed until COMMIT has answered.
type adapter struct {
	tx        pgx.Tx
	commitErr error
}

// Exec is part of crdb.Tx.
func (a *adapter) Exec(ctx context.Context, sql string, args ...any) error {
	_, err := a.tx.Exec(ctx, sql, args...)
	return err
}

// Commit is part of crdb.Tx.
func (a *adapter) Commit(ctx context.Context) error {
	a.commitErr = a.tx.Commit(ctx)
	return a.commitErr
}

// Rollback is part of crdb.Tx. It has time of its own, so that a cancelled caller does not cost the
// pool a connection.
func (a *adapter) Rollback(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
	defer cancel()
	return a.tx.Rollback(ctx)
}
