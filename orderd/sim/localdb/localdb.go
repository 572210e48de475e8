// Package localdb runs a database server beside this process, on a loopback port, for tests and for
// development: PostgreSQL or CockroachDB, whichever is installed. The server ends with this process,
// however that ends.
package localdb

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// startTimeout is how long a server may take until it answers.
	startTimeout = 60 * time.Second
	pollEvery    = 20 * time.Millisecond
)

// ready waits until the server answers, unless it ends; log is what it prints.
func ready(ctx context.Context, u *url.URL, log string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, u.String())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-ended:
			said, _ := os.ReadFile(log)
			return fmt.Errorf("the database server ended: %s", tail(said))
		case <-ctx.Done():
			said, _ := os.ReadFile(log)
			return fmt.Errorf("the database server did not answer: %w: %s", err, tail(said))
		}
	}
}

// tail is the end of what a server printed.
func tail(said []byte) []byte {
	const enough = 4 << 10
	return said[max(0, len(said)-enough):]
}
