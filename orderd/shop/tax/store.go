package tax

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Rates returns the rates of those of the classes that there are, in basis points. Without
// names nothing is asked.
func Rates(ctx context.Context, q database.Querier, names []string) (map[string]int64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	rows, err := q.Query(ctx, "SELECT name, rate_basis_points FROM tax_classes WHERE name = ANY ($1)", names)
	if err != nil {
		return nil, fmt.Errorf("reading tax classes: %w", err)
	}
	rates := make(map[string]int64, len(names))
	var name string
	var rate int64
	_, err = pgx.ForEachRow(rows, []any{&name, &rate}, func() error {
		rates[name] = rate
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading tax classes: %w", err)
	}
	return rates, nil
}

func list(ctx context.Context, q database.Querier) ([]Class, error) {
	rows, err := q.Query(ctx, "SELECT name, title, rate_basis_points FROM tax_classes ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("reading tax classes: %w", err)
	}
	classes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Class])
	if err != nil {
		return nil, fmt.Errorf("reading tax classes: %w", err)
	}
	return classes, nil
}

// upsert writes the class unless it would be one too many. Staff who add the last classes
// at the same moment may go over the limit by as many as they are, which harms nothing: it
// only keeps lists short.
func upsert(ctx context.Context, tx pgx.Tx, c Class, at time.Time) error {
	tag, err := tx.Exec(ctx, `INSERT INTO tax_classes (name, title, rate_basis_points, updated_at)
		SELECT $1::text, $2::text, $3::bigint, $4::timestamptz
		WHERE (SELECT count(*) FROM tax_classes WHERE name <> $1) < $5
		ON CONFLICT (name) DO UPDATE SET title = excluded.title, rate_basis_points = excluded.rate_basis_points, updated_at = excluded.updated_at`,
		c.Name, c.Title, c.Rate, at, maxClasses)
	if err != nil {
		return fmt.Errorf("writing tax class %s: %w", c.Name, err)
	}
	if tag.RowsAffected() == 0 {
		return rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyTaxClasses, "there are too many tax classes",
			"tax_class", c.Name)
	}
	return nil
}
