package retention

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// rows are what one look at a table found.
type rows struct {
	read int
	// first and second are the key of the last one.
	first, second string
	// firsts and seconds are the keys of those written before a time.
	before          time.Time
	firsts, seconds []string
}

// look reads a page of the table behind a place, and which of its rows were written before a time.
func (c *Cleaner) look(ctx context.Context, t table, behind place, before time.Time) (rows, error) {
	out := rows{first: behind.first, second: behind.second, before: before}
	found, err := c.pool.Query(ctx,
		fmt.Sprintf("SELECT %s, %s, %s FROM %s WHERE (%s, %s) > ($1::text, $2::text) ORDER BY %s, %s LIMIT $3",
			t.first, t.second, t.at, t.name, t.first, t.second, t.first, t.second),
		behind.first, behind.second, page)
	if err != nil {
		return out, fmt.Errorf("looking for old rows of %s: %w", t.name, err)
	}
	var written time.Time
	_, err = pgx.ForEachRow(found, []any{&out.first, &out.second, &written}, func() error {
		out.read++
		if written.Before(before) {
			out.firsts, out.seconds = append(out.firsts, out.first), append(out.seconds, out.second)
		}
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("looking for old rows of %s: %w", t.name, err)
	}
	return out, nil
}

// remove deletes the rows that are still as old as they were found.
func (c *Cleaner) remove(ctx context.Context, t table, found rows) error {
	if len(found.firsts) == 0 {
		return nil
	}
	tag, err := c.pool.Exec(ctx,
		fmt.Sprintf(`DELETE FROM %s WHERE (%s, %s) IN (SELECT a, b FROM unnest($1::text[], $2::text[]) AS v (a, b))
			AND %s < $3`, t.name, t.first, t.second, t.at),
		found.firsts, found.seconds, found.before)
	if err != nil {
		return fmt.Errorf("removing old rows of %s: %w", t.name, err)
	}
	c.removed.WithLabelValues(t.name).Add(float64(tag.RowsAffected()))
	return nil
}

// removeAudit deletes a page of the audit's entries that were begun before a time, and tells whether there may be more.
func (c *Cleaner) removeAudit(ctx context.Context, before time.Time) (more bool, err error) {
	tag, err := c.pool.Exec(ctx, `DELETE FROM audit_entries WHERE (at, entry_id) IN (
		SELECT at, entry_id FROM audit_entries WHERE at < $1 ORDER BY at, entry_id LIMIT $2)`, before, page)
	if err != nil {
		return false, fmt.Errorf("removing old entries of the audit: %w", err)
	}
	c.removed.WithLabelValues("audit_entries").Add(float64(tag.RowsAffected()))
	return tag.RowsAffected() == page, nil
}
