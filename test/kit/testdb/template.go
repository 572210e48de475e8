package testdb

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/database"
)

// On CockroachDB every change of a table is a job, so that all migrations together take many seconds. There the process
// migrates one database, the template, and gives the others the tables that it ended with.

// template is the one of this process, once it is asked for.
var template = sync.OnceValues(func() (tables, error) {
	base, err := server()
	if err != nil {
		return tables{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), migrateTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, base.String())
	if err != nil {
		return tables{}, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var version string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil || !strings.Contains(version, "CockroachDB") {
		return tables{}, err
	}
	t := tables{name: fmt.Sprintf("orderd_test_template_%d", os.Getpid())}
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+t.name+" CASCADE"); err != nil {
		return tables{}, err
	}
	u, err := Create(ctx, base, t.name)
	if err != nil {
		return tables{}, err
	}
	t.statements, err = createStatements(ctx, u)
	return t, err
})

// tables of the template; none on PostgreSQL, which migrates in no time.
type tables struct {
	name       string
	statements []string
}

func createStatements(ctx context.Context, url string) ([]string, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SHOW CREATE ALL TABLES")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// copyTo makes the template's tables in an empty database, and says in it that all migrations were applied.
func (t tables) copyTo(ctx context.Context, dsn string) error {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range t.statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	_, err = conn.Exec(ctx, "INSERT INTO goose_db_version SELECT * FROM "+t.name+".public.goose_db_version")
	return err
}

// migrate gives an empty database orderd's tables: the template's where there is one.
func migrate(ctx context.Context, dsn string) error {
	t, err := template()
	if err != nil {
		return err
	}
	if len(t.statements) > 0 {
		if err := t.copyTo(ctx, dsn); err != nil {
			return fmt.Errorf("copying the tables of %s: %w", t.name, err)
		}
	}
	// After a copy there is nothing left but what Migrate adds to the tables.
	return database.Migrate(ctx, dsn, slog.New(slog.DiscardHandler))
}

// emptied drops the database and makes it again.
func emptied(dsn string) error {
	u, err := url.Parse(dsn)
	if err != nil {
		return err
	}
	base, err := server()
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(u.Path, "/")
	if err := drop(base, name); err != nil {
		return err
	}
	return execute(base, "CREATE DATABASE "+name)
}
