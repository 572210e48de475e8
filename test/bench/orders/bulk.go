package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

const (
	// bulkOrders are inserted a transaction, and bulkWriters write at once: a loader is one.
	bulkOrders  = 256
	bulkWriters = 1
	// bulkChunks are the most transactions of a phase.
	bulkChunks = 800
)

// written are the tables that placing an order writes rows to, and how each table's
// rows are put in order.
var written = []struct{ table, order string }{
	{"orders", "created_at, order_id"},
	{"order_lines", "order_id, line"},
	{"order_history", "order_id, version"},
	{"outbox", "order_id, version"},
	{"requests", "scope, request_id"},
	{"stock_movements", "ref, kind, sku"},
}

// chunk is the rows of bulkOrders orders, by table: an array of the table's rows as text.
type chunk []string

// readChunks reads the rows of orders that were placed, as many chunks as there are.
func readChunks(ctx context.Context, url string) ([]chunk, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var orders int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM orders").Scan(&orders); err != nil {
		return nil, err
	}
	chunks := make([]chunk, min(orders/bulkOrders, bulkChunks))
	if len(chunks) == 0 {
		return nil, fmt.Errorf("%d orders are too few for a bulk insert", orders)
	}
	for _, w := range written {
		rows, err := conn.Query(ctx, `SELECT array_agg(t.row)::text FROM (
				SELECT r AS row, (row_number() OVER (ORDER BY `+w.order+`) - 1) / (count(*) OVER () * $1 / $2) AS chunk FROM `+w.table+` r
			) t WHERE t.chunk < $3 GROUP BY t.chunk ORDER BY t.chunk`, bulkOrders, orders, len(chunks))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", w.table, err)
		}
		parts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", w.table, err)
		}
		if len(parts) != len(chunks) {
			return nil, fmt.Errorf("%s has rows for %d chunks, want %d", w.table, len(parts), len(chunks))
		}
		for i, part := range parts {
			chunks[i] = append(chunks[i], part)
		}
	}
	return chunks, nil
}

// bulk inserts the chunks into an empty database, each in a transaction of its own, and
// returns orders a second.
func bulk(ctx context.Context, url string, chunks []chunk, limit time.Duration) (float64, error) {
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	done := make([]int, bulkWriters)
	for w := range bulkWriters {
		g.Go(func() error {
			conn, err := pgx.Connect(ctx, url)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(ctx) }()
			for i := w; i < len(chunks) && time.Since(began) < limit; i += bulkWriters {
				if err := insert(ctx, conn, chunks[i]); err != nil {
					return err
				}
				done[w] += bulkOrders
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	sum := 0
	for _, n := range done {
		sum += n
	}
	return float64(sum) / time.Since(began).Seconds(), nil
}

// insert is one round trip but for the commit: a statement a table, each with all of the table's
// rows.
func insert(ctx context.Context, conn *pgx.Conn, c chunk) error {
	var b pgx.Batch
	for i, w := range written {
		b.Queue("INSERT INTO "+w.table+" SELECT * FROM unnest($1::text::"+w.table+"[])", c[i])
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return tx.SendBatch(ctx, &b).Close() })
}

// truncate empties what a phase wrote.
func truncate(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	names := make([]string, len(written))
	for i, w := range written {
		names[i] = w.table
	}
	_, err = conn.Exec(ctx, "TRUNCATE "+strings.Join(names, ", "))
	return err
}
