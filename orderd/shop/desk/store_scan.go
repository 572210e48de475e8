package desk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// bounds are how many rows of an index are looked at: most by one call, and first where not all of them are asked for;
// then always more.
type bounds struct{ most, first int }

// position is a row's place in the order of time; the zero position is before the first.
type position struct {
	at time.Time
	id uuid.UUID
}

// found is a row that an index gave: matches tells whether it is asked for.
type found struct {
	position

	matches bool
}

// sql reads up to limit rows of the query's index behind a position: at, id, matches.
func (q *query) sql(after position, oldest bool, limit int) (sql string, args []any) {
	args = append(args, q.args...)
	arg := func(value any) string {
		args = append(args, value)
		return fmt.Sprintf("$%d", len(args))
	}
	direction, beyond := "DESC", " < "
	if oldest {
		direction, beyond = "ASC", " > "
	}
	matches := "true"
	if len(q.rest) > 0 {
		matches = strings.Join(q.rest, " AND ")
	}
	conditions := append([]string{}, q.within...)
	if after != (position{}) {
		conditions = append(conditions,
			fmt.Sprintf("(%s, %s)%s(%s, %s)", q.time, q.id, beyond, arg(after.at), arg(after.id)))
	}
	most := arg(limit)
	branches := make([]string, len(q.branches))
	for i, b := range q.branches {
		branches[i] = fmt.Sprintf(`(SELECT %[1]s AS at, %[7]s AS id, (%[2]s) IS TRUE AS matches
			FROM desk_orders AS d%[3]s WHERE %[4]s ORDER BY %[1]s %[5]s, %[7]s %[5]s LIMIT %[6]s)`,
			q.time, matches, q.join, strings.Join(append([]string{b}, conditions...), " AND "), direction, most, q.id)
	}
	if len(branches) == 1 {
		return branches[0], args
	}
	return fmt.Sprintf("SELECT at, id, matches FROM (%s) AS u ORDER BY at %s, id %s LIMIT %s",
		strings.Join(branches, " UNION ALL "), direction, direction, most), args
}

func (q *query) rows(
	ctx context.Context, db database.Querier, after position, oldest bool, limit int,
) ([]found, error) {
	sql, args := q.sql(after, oldest, limit)
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("finding orders: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (found, error) {
		var f found
		err := row.Scan(&f.at, &f.id, &f.matches)
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("finding orders: %w", err)
	}
	return list, nil
}

// scan gives the ids of up to size orders that match, behind a position, and where the next page goes on: the zero
// position if nothing is left.
func (q *query) scan(
	ctx context.Context, db database.Querier, of bounds, after position, oldest bool, size int,
) (ids []uuid.UUID, next position, err error) {
	limit := size + 1
	if len(q.rest) > 0 {
		limit = max(of.first, limit)
	}
	for scanned := 0; scanned < of.most; limit *= 8 {
		limit = min(limit, of.most-scanned)
		rows, err := q.rows(ctx, db, after, oldest, limit)
		if err != nil {
			return nil, position{}, err
		}
		for _, r := range rows {
			if r.matches && len(ids) == size {
				return ids, after, nil
			}
			after = r.position
			if r.matches {
				ids = append(ids, r.id)
			}
		}
		if scanned += len(rows); len(rows) < limit {
			return ids, position{}, nil
		}
	}
	return ids, after, nil
}

// count gives how many orders match, up to most, whether there are more, and whether it did not look at all of them.
func (q *query) count(
	ctx context.Context, db database.Querier, most int,
) (n int64, more, unfinished bool, err error) {
	sql, args := q.sql(position{}, false, most+1)
	var scanned int64
	err = db.QueryRow(ctx, "SELECT count(*) FILTER (WHERE matches), count(*) FROM ("+sql+") AS c", args...).
		Scan(&n, &scanned)
	if err != nil {
		return 0, false, false, fmt.Errorf("counting orders: %w", err)
	}
	more = n > int64(most)
	return min(n, int64(most)), more, !more && scanned > int64(most), nil
}
