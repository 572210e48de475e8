package database

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Querier is a pool or a transaction: what reads and single statements need.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// MustChange is for a statement of a [pgx.Batch] that has to change so many rows: another number is
// an error, which undoes the transaction. Rows that were locked or read under a condition cannot be
// gone, so it is a mistake of orderd's and not the caller's.
func MustChange(rows int) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(rows) {
			return fmt.Errorf("%d rows changed, not %d", tag.RowsAffected(), rows)
		}
		return nil
	}
}

// Stamp is a time as orderd stores it: in UTC, in whole milliseconds, so that what was
// written and what is read back are equal on every database, and the same as in order ids and
// in the flash lane's log.
func Stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
