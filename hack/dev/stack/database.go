package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"time"

	"github.com/cockroachdb/cockroach-go/v2/testserver"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderd-dev/orderd/hack/dev/home"
	"github.com/orderd-dev/orderd/orderd/sim/localdb"
)

// installHint says what to do where there is no database.
const installHint = "no database: install PostgreSQL (apt-get install postgresql, brew install postgresql) or put " +
	"CockroachDB's program cockroach on the PATH, or name a server (-database postgres://…)"

const (
	// cockroachVersion is fetched where no database is installed.
	cockroachVersion = "v24.1.0"
	cockroachHost    = "https://binaries.cockroachdb.com/"
	// reachableWithin is how long that host may take to answer at all.
	reachableWithin = 3 * time.Second
)

// duplicateDatabase is SQL's code for a database that is there.
const duplicateDatabase = "42P04"

// openDatabase returns the URL of the shop's database, and what it is: the one that was named, else
// CockroachDB or PostgreSQL with their data in the home, else CockroachDB from the internet.
func openDatabase(ctx context.Context, h *home.Home, named string, port int) (dsn, what string, err error) {
	if named != "" {
		return named, "the one that -database names", nil
	}
	var server *url.URL
	if binary := localdb.FindCockroach(); binary != "" {
		what = "CockroachDB, " + binary
		server, err = startCockroach(ctx, h, binary, port)
	} else {
		var bin string
		bin, err = localdb.FindPostgres()
		switch {
		case err == nil:
			what = "PostgreSQL, " + bin
			server, err = startPostgres(ctx, h, bin, port)
		case errors.Is(err, localdb.ErrNoPostgres):
			if binary, err = downloadCockroach(ctx, h); err == nil {
				what = "CockroachDB " + cockroachVersion + ", downloaded"
				server, err = startCockroach(ctx, h, binary, port)
			}
		}
	}
	if err != nil {
		return "", "", err
	}
	if err := createDatabase(ctx, server); err != nil {
		return "", "", fmt.Errorf("making the database: %w", err)
	}
	server.Path = "/orderd"
	return server.String(), what, nil
}

// downloadCockroach returns the path of CockroachDB's program, which it fetches first if it has not been
// fetched before; where the internet is not, it says what to install instead.
func downloadCockroach(ctx context.Context, h *home.Home) (string, error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodHead, cockroachHost, http.NoBody)
	if err != nil {
		return "", err
	}
	answer, err := (&http.Client{Timeout: reachableWithin}).Do(ask)
	if err != nil {
		return "", errors.New(installHint)
	}
	_ = answer.Body.Close()
	folder, err := h.Folder("bin")
	if err != nil {
		return "", err
	}
	binary, err := testserver.DownloadBinaryWithPlatform(
		&testserver.TestConfig{}, cockroachVersion, false, runtime.GOOS, runtime.GOARCH, folder)
	if err != nil {
		return "", fmt.Errorf("%s (fetching CockroachDB %s: %w)", installHint, cockroachVersion, err)
	}
	return binary, nil
}

func startCockroach(ctx context.Context, h *home.Home, binary string, port int) (*url.URL, error) {
	dir, err := h.Folder("cockroach")
	if err != nil {
		return nil, err
	}
	return localdb.Cockroach{Binary: binary, Dir: dir, Port: port, Files: h.Files()}.Start(ctx)
}

func startPostgres(ctx context.Context, h *home.Home, bin string, port int) (*url.URL, error) {
	dir, err := h.Folder("postgres")
	if err != nil {
		return nil, err
	}
	server := localdb.Postgres{Bin: bin, Dir: dir, Port: port, Files: h.Files()}
	u, err := server.Start(ctx)
	if errors.Is(err, localdb.ErrNoEntry) {
		// For root alone: whom PostgreSQL runs as may not enter root's own folders.
		if server.Dir, err = h.Elsewhere(); err == nil {
			u, err = server.Start(ctx)
		}
	}
	return u, err
}

func createDatabase(ctx context.Context, server *url.URL) error {
	conn, err := pgx.Connect(ctx, server.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "CREATE DATABASE orderd")
	var known *pgconn.PgError
	if errors.As(err, &known) && known.Code == duplicateDatabase {
		return nil
	}
	return err
}
