// Package schema is the shop's tables: one baseline a domain, and what was changed since
// in files that follow.
//
// What holds:
//   - A file that has landed is never edited or removed, because databases have it already:
//     schema.sum has the files' hashes, and a test compares them. A change is a new file
//     with a higher number.
//   - A file is migrated in one transaction. A baseline makes all of its domain's tables, so that
//     they are one job on CockroachDB; a later file has one statement that changes a table.
//   - Every statement can be repeated, for CockroachDB of a version that commits before each of them.
//   - The SQL is what CockroachDB 22.1 and PostgreSQL 15 both have. What only CockroachDB has is in
//     store_cockroachdb.go.
package schema

import (
	"context"
	"embed"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

//go:embed *.sql
var files embed.FS

// Migrate brings the database at a postgres:// URL to this version's tables, as
// [database.Migrate] does.
func Migrate(ctx context.Context, url string, log *slog.Logger, opts ...database.MigrateOption) error {
	return database.Migrate(ctx, url, files, log, append(opts, database.OnCockroachDB(onCockroachDB...))...)
}

// Migrated tells whether the database has all of this version's tables; more is fine, so that old
// pods go on while a new version rolls out.
func Migrated(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	return database.Migrated(ctx, pool, files)
}
