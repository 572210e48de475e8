// Package testdb gives each test a database of its own on one server per test process. The server
// is the first there is of: the one ORDERD_TEST_DATABASE_URL names, CockroachDB (COCKROACH_BINARY,
// or cockroach on the PATH), PostgreSQL. A server that was started here ends with the test process,
// however that ends. On a CockroachDB that was running already, up to as many databases as tests
// ran at once stay behind; a later test process drops them.
package testdb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/sim/localdb"
)

const (
	// URLVariable names a server that is already running: a postgres:// URL whose user
	// may create databases.
	URLVariable = "ORDERD_TEST_DATABASE_URL"

	startTimeout = 60 * time.Second
	// migrateTimeout is long, because on CockroachDB each change of a table is a job of its own.
	migrateTimeout = 5 * time.Minute
	// poolConnections is small, because many tests' pools share one server.
	poolConnections = 16
)

// server is the process's one database server. It has to outlive every test that uses it, which is
// why it is the package's.
var server = sync.OnceValues(func() (*url.URL, error) { return start(fast) })

// template is the name of a migrated database on a PostgreSQL that was started here. A copy of it
// costs a fraction of a migration, and the server takes it along when it ends.
var template = sync.OnceValues(func() (string, error) {
	base, err := server()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), migrateTimeout)
	defer cancel()
	const name = "orderd_template"
	_, err = Create(ctx, base, name)
	return name, err
})

// New makes an empty database and returns its URL. The database is dropped when the test ends.
func New(tb testing.TB) string {
	tb.Helper()
	return create(tb, "")
}

// create makes a database, as the clause says.
func create(tb testing.TB, clause string) string {
	tb.Helper()
	base, err := server()
	if err != nil {
		tb.Fatalf("test database: %v", err)
	}
	name := "orderd_test_" + randomHex(tb)
	if err := execute(base, "CREATE DATABASE "+name+clause); err != nil {
		tb.Fatalf("test database: creating %s: %v", name, err)
	}
	tb.Cleanup(func() {
		if err := drop(base, name); err != nil {
			tb.Logf("test database: dropping %s: %v", name, err)
		}
	})
	u := *base
	u.Path = "/" + name
	return u.String()
}

// NewMigrated makes a database with all of orderd's tables and returns its URL. On CockroachDB it
// may be one that an earlier test has used, emptied.
func NewMigrated(tb testing.TB) string {
	tb.Helper()
	again, err := onCockroach()
	if err != nil {
		tb.Fatalf("test database: %v", err)
	}
	if again != nil {
		base, _ := server()
		return again.database(tb, base)
	}
	if os.Getenv(URLVariable) == "" {
		name, err := template()
		if err != nil {
			tb.Fatalf("test database: %v", err)
		}
		return create(tb, " TEMPLATE "+name)
	}
	dsn := New(tb)
	ctx, cancel := context.WithTimeout(context.Background(), migrateTimeout)
	defer cancel()
	if err := migrate(ctx, dsn); err != nil {
		tb.Fatalf("test database: %v", err)
	}
	return dsn
}

// NewPool makes a migrated database and returns a pool of at most 16 connections to it, which is
// closed when the test ends.
func NewPool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	pool, err := database.Open(context.Background(), NewMigrated(tb), poolConnections)
	if err != nil {
		tb.Fatalf("test database: %v", err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

// Durable starts a server for a benchmark, one that has every commit on disk before it answers, and
// returns its URL. Like the tests' server it ends with this process; one that was running already
// is as durable as it is.
func Durable() (*url.URL, error) { return start(durable) }

// Server is the process's server, for a program that makes its databases by Create.
func Server() (*url.URL, error) { return server() }

// Create makes a database with all of orderd's tables on a server and returns its URL.
func Create(ctx context.Context, base *url.URL, name string) (string, error) {
	if err := execute(base, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("creating database %s: %w", name, err)
	}
	u := *base
	u.Path = "/" + name
	return u.String(), migrate(ctx, u.String())
}

// start takes the first server there is and says on standard error which one that was. The settings
// are for a PostgreSQL that is started here.
func start(settings []string) (*url.URL, error) {
	if raw := os.Getenv(URLVariable); raw != "" {
		fmt.Fprintf(os.Stderr, "testdb: using the server that %s names\n", URLVariable)
		return url.Parse(raw)
	}
	if binary := localdb.FindCockroach(); binary != "" {
		fmt.Fprintf(os.Stderr, "testdb: using CockroachDB %s\n", binary)
		return startCockroach(binary)
	}
	return startPostgres(settings)
}

func execute(base *url.URL, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, base.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// drop ends what still uses the database, which only PostgreSQL asks for and has words for.
func drop(base *url.URL, name string) error {
	if err := execute(base, "DROP DATABASE "+name+" WITH (FORCE)"); err == nil {
		return nil
	}
	return execute(base, "DROP DATABASE "+name+" CASCADE")
}

func randomHex(tb testing.TB) string {
	tb.Helper()
	var raw [8]byte
	if _, err := rand.Read(raw[:]); err != nil {
		tb.Fatalf("test database: %v", err)
	}
	return hex.EncodeToString(raw[:])
}
