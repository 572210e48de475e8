package testdb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/orderd-dev/orderd/orderd/sim/localdb"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

const installHint = "no database for the tests: set " + URLVariable + ", put cockroach on the PATH, or apt-get " +
	"install postgresql"

// Durability is not what the tests test: what they kill is orderd, not the machine.
var (
	fast    = []string{"fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB"}
	durable = []string{
		"fsync=on",
		"synchronous_commit=on",
		"full_page_writes=on",
		"shared_buffers=512MB",
		"max_wal_size=4GB",
	}
)

// startPostgres serves a fresh database from a temporary folder.
func startPostgres(settings []string) (*url.URL, error) {
	bin, err := localdb.FindPostgres()
	if errors.Is(err, localdb.ErrNoPostgres) {
		return nil, errors.New(installHint)
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "testdb: using PostgreSQL in %s\n", bin)
	base, _, err := startTemporary(bin, settings)
	return base, err
}

// startTemporary serves from a folder that goes with the server.
func startTemporary(bin string, settings []string) (base *url.URL, dir string, err error) {
	if dir, err = os.MkdirTemp("", "orderd-testdb-"); err != nil {
		return nil, "", err
	}
	port, err := testport.New()
	if err != nil {
		return nil, "", err
	}
	server := localdb.Postgres{Bin: bin, Dir: dir, Port: port, Settings: settings, Temporary: true}
	base, err = server.Start(context.Background())
	return base, dir, err
}
