package database_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// files are migrations by their names. The first, which every list has, makes the table settings.
func files(more map[string]string) fs.FS {
	all := map[string]string{"00001_first.sql": "CREATE TABLE settings (key text PRIMARY KEY, value text NOT NULL)"}
	maps.Copy(all, more)
	out := fstest.MapFS{}
	for name, sql := range all {
		out[name] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql + ";\n")}
	}
	return out
}

func migrate(url string, files fs.FS, opts ...database.MigrateOption) error {
	return database.Migrate(context.Background(), url, files, slog.New(slog.DiscardHandler), opts...)
}

// migrated makes a database with the first file's table, and opens it.
func migrated(t *testing.T) (url string, pool *pgxpool.Pool) {
	t.Helper()
	url = testdb.New(t)
	if err := migrate(url, files(nil)); err != nil {
		t.Fatal(err)
	}
	pool, err := database.Open(context.Background(), url, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return url, pool
}

// limit is long enough for a step that has nothing to wait for, on a busy machine.
const limit = 3 * time.Second

// Somebody else's open transaction has locked what a step needs.
func TestMigrateNamesTheStepThatTakesTooLong(t *testing.T) {
	second := files(map[string]string{"00002_second.sql": "UPDATE settings SET value = value WHERE key = 'order_id_key'"})
	for _, tt := range []struct {
		step   string
		files  fs.FS
		locked string
	}{
		{"waiting for the migrations' lock", files(nil), "UPDATE goose_lock SET updated_at = now()"},
		{"making the version table", files(nil), "DELETE FROM goose_db_version WHERE id = 0"},
		{"migration 00002_second.sql", second, "UPDATE settings SET value = value WHERE key = 'order_id_key'"},
		{"making the order id key", files(nil), "DELETE FROM settings WHERE key = 'order_id_key'"},
	} {
		t.Run(tt.step, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			url, pool := migrated(t)
			tx, err := pool.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(ctx) }()
			if _, err := tx.Exec(ctx, tt.locked); err != nil {
				t.Fatal(err)
			}
			err = migrate(url, tt.files, database.WithStepLimit(limit))
			var late *database.StepTimeoutError
			if !errors.As(err, &late) {
				t.Fatalf("Migrate: %v", err)
			}
			if diff := cmp.Diff(&database.StepTimeoutError{Step: tt.step, Limit: limit}, late); diff != "" {
				t.Error(diff)
			}
			want := "migrating the database: " + tt.step + " took longer than 3s"
			if !strings.HasPrefix(err.Error(), want) {
				t.Errorf("Migrate: %v; want %s", err, want)
			}
			if err := tx.Rollback(ctx); err != nil {
				t.Fatal(err)
			}
			if err := migrate(url, tt.files); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// A lock whose owner has died goes with its lease; one whose owner lives is waited for.
func TestMigrateWaitsForAnother(t *testing.T) {
	ctx := context.Background()
	url, pool := migrated(t)
	const lock = "UPDATE goose_lock SET locked = true, locked_by = 'another', lease_expires_at = now() + $1::text::interval"
	if _, err := pool.Exec(ctx, lock, "1 hour"); err != nil {
		t.Fatal(err)
	}
	var late *database.StepTimeoutError
	err := migrate(url, files(nil), database.WithStepLimit(limit))
	if !errors.As(err, &late) || late.Step != "waiting for the migrations' lock" {
		t.Errorf("Migrate: %v", err)
	}
	if _, err := pool.Exec(ctx, lock, "-1 second"); err != nil {
		t.Fatal(err)
	}
	if err := migrate(url, files(nil)); err != nil {
		t.Errorf("after the lease: %v", err)
	}
}

func TestMigrateGoesOnAfterTheFileThatFailed(t *testing.T) {
	ctx := context.Background()
	url, pool := migrated(t)
	more := map[string]string{
		"00002_good.sql": "CREATE TABLE good (a text PRIMARY KEY)",
		"00003_bad.sql":  "CREATE TABLE half (a text PRIMARY KEY);\nINSERT INTO nowhere VALUES (1)",
	}
	err := migrate(url, files(more))
	if err == nil || !strings.HasPrefix(err.Error(), "migrating the database: migration 00003_bad.sql: ") {
		t.Fatalf("Migrate: %v", err)
	}
	more["00003_bad.sql"] = "CREATE TABLE half (b text PRIMARY KEY)"
	if done, err := database.Migrated(ctx, pool, files(more)); err != nil || done {
		t.Fatalf("migrated %t, %v", done, err)
	}
	if err := migrate(url, files(more)); err != nil {
		t.Fatal(err)
	}
	if done, err := database.Migrated(ctx, pool, files(more)); err != nil || !done {
		t.Fatalf("migrated %t, %v", done, err)
	}
	if _, err := pool.Exec(ctx, "INSERT INTO half (b) VALUES ('a file is migrated as a whole')"); err != nil {
		t.Error(err)
	}
	early := maps.Clone(more)
	delete(early, "00003_bad.sql")
	if done, err := database.Migrated(ctx, pool, files(early)); err != nil || !done {
		t.Errorf("of an older version: migrated %t, %v", done, err)
	}
}

// A file with a number below that of one that was applied is an error, not one that is left out.
func TestMigrateRefusesAFileThatComesTooLate(t *testing.T) {
	url, _ := migrated(t)
	more := map[string]string{"00003_third.sql": "CREATE TABLE third (a text PRIMARY KEY)"}
	if err := migrate(url, files(more)); err != nil {
		t.Fatal(err)
	}
	more["00002_second.sql"] = "CREATE TABLE second (a text PRIMARY KEY)"
	err := migrate(url, files(more))
	if err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("Migrate: %v", err)
	}
}
