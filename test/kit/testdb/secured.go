package testdb

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/orderd-dev/orderd/orderd/sim/authority"
	"github.com/orderd-dev/orderd/orderd/sim/localdb"
)

// Secured starts a PostgreSQL of its own with an empty database. Over TLS, with a certificate that ca
// has signed for 127.0.0.1, it takes those in who show one of ca's for the name orderd; secured is
// the URL, with sslmode=verify-full. plain is its URL in clear text, which needs none. The test is
// skipped where there is no PostgreSQL.
func Secured(tb testing.TB, ca *authority.Authority) (secured, plain string) {
	tb.Helper()
	bin, err := localdb.FindPostgres()
	if errors.Is(err, localdb.ErrNoPostgres) {
		tb.Skip("TLS is tried with PostgreSQL, which is not installed")
	}
	if err != nil {
		tb.Fatalf("test database: %v", err)
	}
	base, dir, err := startTemporary(bin, fast)
	if err != nil {
		tb.Fatalf("test database: %v", err)
	}
	pair, err := ca.Issue(authority.Subject{Name: "database", Hosts: []string{"127.0.0.1"}})
	if err != nil {
		tb.Fatalf("test database: %v", err)
	}
	data := filepath.Join(dir, "data")
	hba := "hostssl all all 127.0.0.1/32 cert\nhostnossl all all 127.0.0.1/32 trust\n"
	err = errors.Join(
		pair.Write(data, "server.crt", "server.key"),
		os.WriteFile(filepath.Join(data, "ca.crt"), ca.PEM(), 0o600),
		os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o600),
		giveTo(data, "server.crt", "server.key", "ca.crt", "pg_hba.conf"))
	if err != nil {
		tb.Fatalf("test database: %v", err)
	}
	for _, statement := range []string{
		"ALTER SYSTEM SET ssl_ca_file = 'ca.crt'", "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()",
		"CREATE DATABASE shop",
	} {
		if err := execute(base, statement); err != nil {
			tb.Fatalf("test database: %s: %v", statement, err)
		}
	}
	with := func(mode string) string {
		u := *base
		u.Path, u.RawQuery = "/shop", url.Values{"sslmode": {mode}}.Encode()
		return u.String()
	}
	return with("verify-full"), with("disable")
}

// giveTo makes files of a folder their owner's whose the folder is.
func giveTo(dir string, names ...string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("nobody knows whose " + dir + " is")
	}
	for _, name := range names {
		if err := os.Chown(filepath.Join(dir, name), int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return nil
}
