package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/cockroach-go/v2/crdb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
)

const (
	// maxAttempts of a transaction that meets deadlocks, each of which has retries inside as well.
	maxAttempts = 8
	firstDelay  = 2 * time.Millisecond
	maxDelay    = time.Second
)

// txOptions ask for READ COMMITTED, which CockroachDB 22.1 takes as SERIALIZABLE. Every transaction
// of orderd is right at both levels: it changes a row only by a statement that carries its
// condition (available >= n, state = …) or after it locked the row with FOR UPDATE, it takes its
// locks in one order (request, bulk jobs, payments, refunds, returns, shipments, orders, invoices, buyers,
// coupons, stock, the desk; each by key), and what may happen once is a unique key. It never decides
// from a row that it read without a lock. On PostgreSQL the level has to be this one: crdb retries inside
// the transaction, by a savepoint, and above READ COMMITTED the retry would see the snapshot that failed
// before.
var txOptions = pgx.TxOptions{IsoLevel: pgx.ReadCommitted}

// Tx is a transaction that [ExecuteTx] or [QueryTx] runs.
type Tx struct {
	pgx.Tx

	afterCommit []func()
}

// AfterCommit has fn called once this transaction is committed, in the order of the calls. It is
// not called if the transaction is rolled back, runs again (the next run registers its own) or ends
// with an unknown outcome.
func (tx *Tx) AfterCommit(fn func()) { tx.afterCommit = append(tx.afterCommit, fn) }

// ExecuteTx runs fn in a transaction and commits. fn runs again after a conflict with another
// transaction, so it must have no effect but on the transaction; what is to happen once it is
// committed goes to [Tx.AfterCommit], and what it finds out is handed out by [QueryTx]. If the
// outcome of the commit is not known, the error's class is [Unknown]; it is not retried here: the
// caller's own retry finds what happened by its request id or unique key.
func ExecuteTx(ctx context.Context, pool *pgxpool.Pool, fn func(*Tx) error) error {
	_, err := QueryTx(ctx, pool, func(tx *Tx) (struct{}, error) { return struct{}{}, fn(tx) })
	return err
}

// QueryTx is [ExecuteTx] for a transaction that hands something out: the result of the run that was
// committed, the zero value otherwise.
func QueryTx[T any](ctx context.Context, pool *pgxpool.Pool, fn func(*Tx) (T, error)) (T, error) {
	policy := backoff.Policy{First: firstDelay, Max: maxDelay}
	var none T
	for attempt := 1; ; attempt++ {
		out, err := executeOnce(ctx, pool, fn)
		if err == nil {
			return out, nil
		}
		if ClassOf(err) != Retry || attempt == maxAttempts {
			return none, err
		}
		countRetry(pool)
		if waitErr := backoff.Wait(ctx, policy.Delay(attempt)); waitErr != nil {
			return none, errors.Join(waitErr, err)
		}
	}
}

func executeOnce[T any](ctx context.Context, pool *pgxpool.Pool, fn func(*Tx) (T, error)) (T, error) {
	var out T
	tx, err := pool.BeginTx(ctx, txOptions)
	if err != nil {
		return out, fmt.Errorf("beginning a transaction: %w", err)
	}
	a := &adapter{tx: tx}
	var run *Tx
	err = crdb.ExecuteInTx(ctx, a, func() error {
		if run != nil {
			countRetry(pool)
		}
		run = &Tx{Tx: tx}
		var err error
		out, err = fn(run)
		return err
	})
	switch {
	case err != nil:
		return out, err
	case a.commitErr == nil:
		for _, after := range run.afterCommit {
			after()
		}
		return out, nil
	case ClassOf(a.commitErr) == Retry:
		return out, a.commitErr
	}
	return out, &UnknownOutcomeError{cause: a.commitErr}
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
