package backends

import (
	"context"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// databaseThere tells whether there is the database that the connection names: CockroachDB lets
// clients log in to one that does not exist.
func databaseThere(ctx context.Context, q database.Querier) (bool, error) {
	var found bool
	err := q.QueryRow(ctx,
		"SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_database WHERE datname = current_database())").Scan(&found)
	return found, err
}
