package database

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var files embed.FS

const (
	// The lock of a migration that was killed goes after the lease; waiting for it takes up to probes
	// times the interval, which is longer than all migrations take: on CockroachDB each change of a table is
	// a job that every node follows, of a second or more.
	lockLease     = 15 * time.Second
	lockHeartbeat = 5 * time.Second
	lockInterval  = 500 * time.Millisecond
	lockProbes    = 600

	orderIDKeySetting = "order_id_key"
	orderIDKeyBytes   = 32
)

// onCockroachDB are statements for what only CockroachDB has. They only tune: where the user may not
// run them they are left out with a warning. Rows of the first tables live for seconds, and every scan would
// otherwise pass over a day of deleted ones.
var onCockroachDB = []string{
	"ALTER TABLE outbox CONFIGURE ZONE USING gc.ttlseconds = 600",
	"ALTER TABLE leases CONFIGURE ZONE USING gc.ttlseconds = 600",
	"ALTER TABLE lease_workers CONFIGURE ZONE USING gc.ttlseconds = 600",
	// Some versions keep a primary key that is replaced as a unique index, which would allow no second bucket of a SKU.
	"DROP INDEX IF EXISTS stock@stock_sku_key CASCADE",
}

// Migrate brings the database to this version's tables, one migration at a time whoever else tries,
// and creates the order id key if there is none. It can be repeated, also after it was killed.
func Migrate(ctx context.Context, url string, log *slog.Logger) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return errBadURL
	}
	config.ConnectTimeout = connectTimeout
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	if err := up(ctx, db, log); err != nil {
		return err
	}
	if err := tune(ctx, db, log); err != nil {
		return err
	}
	return createOrderIDKey(ctx, db)
}

// up applies the migrations that are not applied yet. CockroachDB may ask for a transaction to be run
// again, which goose does not; those that are applied stay so.
func up(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	for attempt := 1; ; attempt++ {
		provider, err := newProvider(db, log)
		if err != nil {
			return err
		}
		results, err := provider.Up(ctx)
		if err == nil {
			for _, r := range results {
				log.Info("migrated", "file", r.Source.Path, "took", r.Duration)
			}
			return nil
		}
		if ClassOf(err) != Retry || attempt == maxAttempts {
			return fmt.Errorf("migrating the database: %w", err)
		}
		log.Warn("a migration met a conflict and is tried again", "error", err)
	}
}

func newProvider(db *sql.DB, log *slog.Logger) (*goose.Provider, error) {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresTableLocker(
		lock.WithTableLeaseDuration(lockLease), lock.WithTableHeartbeatInterval(lockHeartbeat),
		lock.WithTableLockTimeout(lockInterval, lockProbes), lock.WithTableLogger(log))
	if err != nil {
		return nil, fmt.Errorf("migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, sub,
		goose.WithLocker(locker), goose.WithDisableGlobalRegistry(true), goose.WithSlog(log))
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	return provider, nil
}

// tune applies what only CockroachDB has, if this is one.
func tune(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	var version string
	if err := db.QueryRowContext(ctx, "SELECT version()").Scan(&version); err != nil {
		return fmt.Errorf("asking the database for its version: %w", err)
	}
	if !strings.Contains(version, "CockroachDB") {
		return nil
	}
	for _, statement := range onCockroachDB {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			log.Warn("the database is not tuned", "statement", statement, "error", err)
		}
	}
	return nil
}

func createOrderIDKey(ctx context.Context, db *sql.DB) error {
	key := make([]byte, orderIDKeyBytes)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("making the order id key: %w", err)
	}
	_, err := db.ExecContext(ctx, "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING", orderIDKeySetting, hex.EncodeToString(key))
	if err != nil {
		return fmt.Errorf("storing the order id key: %w", err)
	}
	return nil
}

// OrderIDKey is the key that buyers are hashed with in order ids: 32 bytes as hexadecimal text, made by
// the first Migrate and never changed, because a buyer's orders are found by it.
func OrderIDKey(ctx context.Context, pool *pgxpool.Pool) (string, error) {
	var key string
	err := pool.QueryRow(ctx, "SELECT value FROM settings WHERE key = $1", orderIDKeySetting).Scan(&key)
	if err != nil {
		return "", fmt.Errorf("reading the order id key: %w", err)
	}
	return key, nil
}

// Migrated tells whether the database has all of this version's tables; more is fine, so that old
// pods go on while a new version rolls out.
func Migrated(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	want, err := newestMigration()
	if err != nil {
		return false, err
	}
	var have int64
	err = pool.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&have)
	if code(err) == codeUndefinedTable {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the database's version: %w", err)
	}
	return have >= want, nil
}

func newestMigration() (int64, error) {
	entries, err := files.ReadDir("migrations")
	if err != nil {
		return 0, err
	}
	return goose.NumericComponent(entries[len(entries)-1].Name())
}
