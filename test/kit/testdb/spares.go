package testdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/shop/schema"
)

const (
	// sparePrefix begins the names of databases that tests use one after the other. The time at
	// which the database was made follows, in Unix seconds.
	sparePrefix = "orderd_test_spare_"
	// leftBehind is longer than any test process lives.
	leftBehind = 3 * time.Hour

	tablesSQL = `SELECT table_name::text FROM information_schema.tables
		WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'goose%' ORDER BY 1`
)

// spares are the migrated databases of this process that no test uses now, the one that was
// used last at the end, so that whatever a test has left running has ended when its
// database is used again.
//
// CockroachDB needs them: there every change of a table is a job, so that a new database takes
// a second, and a server on which tables are made and dropped by the hundred gets slow.
// PostgreSQL does not.
type spares struct {
	// describe is a query of one column that tells whether a test has changed its tables.
	describe string

	// mu guards unused.
	mu     sync.Mutex
	unused []*spare
}

// spare is one migrated database.
type spare struct {
	name, url string
	// tables are those that the migration made, and described is what the server said of them. It
	// is empty where the server said nothing: such a database is used once.
	tables    []string
	described string
}

// database returns the URL of a spare, emptied, or of a new database.
func (s *spares) database(tb testing.TB, base *url.URL) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), migrateTimeout)
	defer cancel()
	for d := s.pop(); d != nil; d = s.pop() {
		err := d.empty(ctx, s.describe)
		if err == nil {
			tb.Cleanup(func() { s.putBack(base, d) })
			return d.url
		}
		fmt.Fprintf(os.Stderr, "testdb: %s is not used again: %v\n", d.name, err)
		_ = drop(base, d.name)
	}
	d := &spare{name: fmt.Sprint(sparePrefix, time.Now().Unix(), "_", randomHex(tb))}
	var err error
	if d.url, err = Create(ctx, base, d.name); err != nil {
		tb.Fatalf("test database: %v", err)
	}
	if err := d.learn(ctx, s.describe); err != nil {
		fmt.Fprintf(os.Stderr, "testdb: databases are not used again: %v\n", err)
	}
	tb.Cleanup(func() { s.putBack(base, d) })
	return d.url
}

func (s *spares) pop() *spare {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unused) == 0 {
		return nil
	}
	d := s.unused[0]
	s.unused = s.unused[1:]
	return d
}

func (s *spares) putBack(base *url.URL, d *spare) {
	if d.described == "" {
		_ = drop(base, d.name)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unused = append(s.unused, d)
}

// learn notes how the database was before a test used it.
func (d *spare) learn(ctx context.Context, describe string) error {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if d.tables, err = column(ctx, conn, tablesSQL); err != nil {
		return err
	}
	described, err := column(ctx, conn, describe)
	d.described = strings.Join(described, "\n")
	return err
}

// empty makes the database as it was before a test used it, or says why that cannot be.
func (d *spare) empty(ctx context.Context, describe string) error {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	tables, err := column(ctx, conn, tablesSQL)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if slices.Contains(d.tables, table) {
			continue
		}
		if _, err := conn.Exec(ctx, "DROP TABLE "+pgx.Identifier{table}.Sanitize()); err != nil {
			return err
		}
	}
	described, err := column(ctx, conn, describe)
	if err != nil {
		return err
	}
	if strings.Join(described, "\n") != d.described {
		return errors.New("a test has changed its tables")
	}
	var deletes strings.Builder
	for _, table := range d.tables {
		condition := ""
		if table == "settings" {
			// The key is the migration's, as are the tables.
			condition = " WHERE key <> 'order_id_key'"
		}
		fmt.Fprintf(&deletes, "DELETE FROM %s%s;\n", pgx.Identifier{table}.Sanitize(), condition)
	}
	_, err = conn.PgConn().Exec(ctx, deletes.String()).ReadAll()
	return err
}

func column(ctx context.Context, conn *pgx.Conn, sql string) ([]string, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// onCockroach are the process's spares if its server is CockroachDB, and nil if it is not.
var onCockroach = sync.OnceValues(func() (*spares, error) {
	base, err := server()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, base.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	version, err := column(ctx, conn, "SELECT version()")
	if err != nil || !strings.Contains(version[0], "CockroachDB") {
		return nil, err
	}
	dropLeftBehind(ctx, conn)
	return &spares{describe: "SHOW CREATE ALL TABLES"}, nil
})

// dropLeftBehind drops the spares of processes that have ended, on a server that
// goes on without them.
func dropLeftBehind(ctx context.Context, conn *pgx.Conn) {
	names, err := column(ctx, conn, "SELECT datname::text FROM pg_database WHERE datname LIKE '"+sparePrefix+"%'")
	if err != nil {
		fmt.Fprintf(os.Stderr, "testdb: looking for databases that were left behind: %v\n", err)
	}
	for _, name := range names {
		made, _, _ := strings.Cut(strings.TrimPrefix(name, sparePrefix), "_")
		seconds, err := strconv.ParseInt(made, 10, 64)
		if err != nil || time.Since(time.Unix(seconds, 0)) < leftBehind {
			continue
		}
		if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" CASCADE"); err != nil {
			fmt.Fprintf(os.Stderr, "testdb: dropping %s, which was left behind: %v\n", name, err)
		}
	}
}

func migrate(ctx context.Context, dsn string) error {
	return schema.Migrate(ctx, dsn, slog.New(slog.DiscardHandler))
}
