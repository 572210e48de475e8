package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testproc"
)

// db is the database, which pods reach through a proxy. A PostgreSQL that was started here
// can be killed as well.
type db struct {
	kind string
	// url for pods.
	url  string
	way  *proxy
	pool *pgxpool.Pool

	// pid of the server as testdb started it; 0: it cannot be killed. server is what takes
	// its place once it was.
	pid    int
	server *testproc.Process
}

func startDatabase(ctx context.Context, log io.Writer) (*db, error) {
	base, err := testdb.Durable()
	if err != nil {
		return nil, err
	}
	direct, err := testdb.Create(ctx, base, fmt.Sprintf("orderd_chaos_%d_%d", os.Getpid(), time.Now().Unix()))
	if err != nil {
		return nil, err
	}
	d := &db{}
	u, err := url.Parse(direct)
	if err != nil {
		return nil, err
	}
	if d.way, err = newProxy(ctx, u.Host); err != nil {
		return nil, err
	}
	through := *u
	through.Host = d.way.address
	d.url = through.String()
	if d.pool, err = database.Open(ctx, direct, 8); err != nil {
		return nil, err
	}
	var version string
	if err := d.pool.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		return nil, err
	}
	d.kind, _, _ = strings.Cut(version, " (")
	if strings.HasPrefix(version, "PostgreSQL") && os.Getenv(testdb.URLVariable) == "" &&
		net.ParseIP(u.Hostname()).IsLoopback() {
		return d, d.adopt(ctx, log)
	}
	return d, nil
}

// adopt learns how the server was started, to do it again.
func (d *db) adopt(ctx context.Context, log io.Writer) error {
	var data string
	if err := d.pool.QueryRow(ctx, "SHOW data_directory").Scan(&data); err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	if d.pid, err = strconv.Atoi(first); err != nil {
		return fmt.Errorf("postmaster.pid: %w", err)
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.pid))
	if err != nil {
		return err
	}
	args := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
	owner, err := os.Stat(data)
	if err != nil {
		return err
	}
	d.server = &testproc.Process{Name: "postgres", Path: args[0], Args: args[1:], Log: log}
	if s, ok := owner.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		d.server.Credential = &syscall.Credential{Uid: s.Uid, Gid: s.Gid}
	}
	return nil
}

// kill the server as a lost machine would; nothing on one that is not ours.
func (d *db) kill() {
	if d.server == nil {
		return
	}
	if d.pid != 0 {
		_ = syscall.Kill(d.pid, syscall.SIGKILL)
		d.pid = 0
	}
	d.server.Kill()
}

// heal brings the database back.
func (d *db) heal(ctx context.Context) error {
	d.way.set(fair)
	return until(ctx, time.Minute, "the database answers", func(ctx context.Context) error {
		if d.server != nil && d.pid == 0 {
			// It refuses to start while processes of the one before are there, and is tried again.
			if err := d.server.Start(); err != nil {
				return err
			}
		}
		return d.pool.Ping(ctx)
	})
}

func (d *db) stop() {
	if d.pool != nil {
		d.pool.Close()
	}
	if d.server != nil {
		d.server.Kill()
	}
}

// rows of a query, read again while the database is away.
func rows[T any](ctx context.Context, pool *pgxpool.Pool, query string, args ...any) (all []T, err error) {
	err = until(ctx, time.Minute, "the database answers", func(ctx context.Context) error {
		found, err := pool.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(found, pgx.RowToStructByPos[T])
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return all, err
}
