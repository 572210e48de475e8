package database_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func TestOpenHidesThePassword(t *testing.T) {
	_, err := database.Open(context.Background(), "postgres://orderd:hunter2@%zz/", 1)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("Open: %v", err)
	}
}

func TestBusy(t *testing.T) {
	for code, want := range map[string]bool{
		"53200": true, "53100": true, "55P03": true, "57014": true, "57P01": true, "23505": false, "42601": false, "": false,
	} {
		if got := database.Busy(fmt.Errorf("doing: %w", &pgconn.PgError{Code: code})); got != want {
			t.Errorf("%s: %t", code, got)
		}
	}
	if database.Busy(errors.New("57014")) || database.Busy(nil) {
		t.Error("what no database said is busy")
	}
}

func TestClassOf(t *testing.T) {
	pg := func(code string) error {
		return fmt.Errorf("doing: %w", &pgconn.PgError{Code: code, Message: "secret"})
	}
	for _, tt := range []struct {
		name     string
		err      error
		want     database.Class
		wantCode connect.Code
	}{
		{"serialization failure", pg("40001"), database.Retry, connect.CodeUnavailable},
		{"deadlock", pg("40P01"), database.Retry, connect.CodeUnavailable},
		{"ambiguous commit", pg("40003"), database.Unknown, connect.CodeUnavailable},
		{"server stops", pg("57P01"), database.Reset, connect.CodeUnavailable},
		{"connection exception", pg("08006"), database.Reset, connect.CodeUnavailable},
		{"a node without the others", pg("58C01"), database.Reset, connect.CodeUnavailable},
		{"too many connections", pg("53300"), database.Reset, connect.CodeUnavailable},
		{"unique violation", pg("23505"), database.Final, connect.CodeInternal},
		{"syntax", pg("42601"), database.Final, connect.CodeInternal},
		{
			"connection reset", fmt.Errorf("reading: %w", &net.OpError{Op: "read", Err: io.EOF}), database.Reset,
			connect.CodeUnavailable,
		},
		{"end of stream", io.ErrUnexpectedEOF, database.Reset, connect.CodeUnavailable},
		{"our own", errors.New("secret"), database.Final, connect.CodeInternal},
		{"deadline", context.DeadlineExceeded, database.Reset, connect.CodeDeadlineExceeded},
		{"gone", context.Canceled, database.Final, connect.CodeCanceled},
	} {
		if got := database.ClassOf(tt.err); got != tt.want {
			t.Errorf("%s: class %s, want %s", tt.name, got, tt.want)
		}
		seen := database.RPCError(tt.err)
		if got := connect.CodeOf(seen); got != tt.wantCode {
			t.Errorf("%s: code %s, want %s", tt.name, got, tt.wantCode)
		}
		var cerr *connect.Error
		if !errors.As(seen, &cerr) || strings.Contains(cerr.Message(), "secret") || rpcerr.Reason(seen) == "" {
			t.Errorf("%s: the caller sees %v", tt.name, seen)
		}
	}
	if known := rpcerr.New(connect.CodeNotFound, "X", "x"); !errors.Is(database.RPCError(fmt.Errorf("in: %w", known)),
		known) {
		t.Error("an error that was made for the caller does not reach it")
	}
}

// Transactions that lock the same two rows in opposite orders all get through, and their
// retries are counted.
func TestExecuteTxGetsOutOfDeadlocks(t *testing.T) {
	ctx, url := context.Background(), testdb.NewMigrated(t)
	registry := prometheus.NewRegistry()
	pool, err := database.Open(ctx, url, 8, database.WithRegisterer(registry))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	for _, key := range []string{"a", "b"} {
		if _, err := pool.Exec(ctx, "INSERT INTO settings (key, value) VALUES ($1, '')", key); err != nil {
			t.Fatal(err)
		}
	}
	orders := [][]string{{"a", "b"}, {"b", "a"}}
	// The first run of each waits until both have their first row.
	var both sync.WaitGroup
	both.Add(len(orders))
	errs := make([]error, len(orders))
	var wg sync.WaitGroup
	for i, keys := range orders {
		wg.Go(func() {
			first := true
			errs[i] = database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
				for n, key := range keys {
					if _, err := tx.Exec(ctx, "UPDATE settings SET value = value || 'x' WHERE key = $1", key); err != nil {
						return err
					}
					if n == 0 && first {
						first = false
						both.Done()
						both.Wait()
					}
				}
				return nil
			})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := pool.QueryRow(ctx, "SELECT count(*) FROM settings WHERE value = 'xx'").Scan(&n); err != nil || n != 2 {
		t.Fatalf("%d rows were changed twice, %v", n, err)
	}
	if n, err := testutil.GatherAndCount(registry, "orderd_database_transaction_retries_total"); err != nil || n != 1 {
		t.Fatalf("retry metric: %d, %v", n, err)
	}
}

func TestExecuteTxRollsBack(t *testing.T) {
	ctx, pool := context.Background(), testdb.NewPool(t)
	wrong := errors.New("no")
	err := database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO settings (key, value) VALUES ('a', '')"); err != nil {
			return err
		}
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Fatalf("ExecuteTx: %v", err)
	}
	var n int
	if err := pool.QueryRow(ctx, "SELECT count(*) FROM settings WHERE key = 'a'").Scan(&n); err != nil || n != 0 {
		t.Fatalf("%d rows, %v", n, err)
	}
}
