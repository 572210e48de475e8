package main

import (
	"fmt"
	"io"

	"github.com/orderd-dev/orderd/test/bench/internal/report"
)

func goal(v float64) *float64 { return &v }

// report prints the table and writes the file.
func (b *bench) report(out io.Writer) error {
	rows := []report.Row{
		{ID: "place_vs_single", Unit: "ratio", Goal: goal(5)},
		{ID: "place_vs_bulk", Unit: "ratio", Goal: goal(0.4)},
		{ID: "place_vs_noop", Unit: "ratio"},
		{ID: "bulk_per_second", Unit: "orders/s"},
	}
	for _, name := range []string{"place", "single", "noop", "get_order", "list_orders", "quote_order"} {
		rows = append(
			rows,
			report.Row{ID: name + "_per_second", Unit: "requests/s"},
			report.Row{ID: name + "_p50_ms", Unit: "ms"},
			report.Row{
				ID:   name + "_p99_ms",
				Unit: "ms",
			},
			report.Row{ID: name + "_cpu_us", Unit: "µs CPU of the server's process a request"},
		)
	}
	rows = b.rounds.Fill(rows)
	if err := report.Table(out, rows); err != nil {
		return err
	}
	fmt.Fprintf(
		out,
		"\n%d connections, medians of %d rounds of %s; PostgreSQL with fsync; servers, database and load share this "+
			"machine.\n",
		b.connections,
		b.options.rounds,
		b.phase,
	)
	fmt.Fprintln(
		out,
		"single: the same code with one order a transaction. bulk: the same rows, 256 orders a transaction, a statement "+
			"a table, one writer.",
	)
	fmt.Fprintf(out, "make bench-orders; the rows are in %s\n", b.out)
	return report.Write(b.out, rows)
}
