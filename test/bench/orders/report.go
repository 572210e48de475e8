package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
)

// row is one figure of bin/bench/orders.json.
type row struct {
	ID    string  `json:"id"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Goal is the least the value should be; only where one is set.
	Goal *float64 `json:"goal,omitempty"`
}

func goal(v float64) *float64 { return &v }

// report prints the table and writes the file. A row's value is the median of its rounds.
func (b *bench) report(out io.Writer) error {
	rows := []row{
		{ID: "place_vs_single", Unit: "ratio", Goal: goal(5)},
		{ID: "place_vs_bulk", Unit: "ratio", Goal: goal(0.4)},
		{ID: "place_vs_noop", Unit: "ratio"},
		{ID: "bulk_per_second", Unit: "orders/s"},
	}
	for _, name := range []string{"place", "single", "noop", "get_order", "list_orders", "quote_order"} {
		rows = append(rows, row{ID: name + "_per_second", Unit: "requests/s"}, row{ID: name + "_p50_ms", Unit: "ms"},
			row{ID: name + "_p99_ms", Unit: "ms"}, row{ID: name + "_cpu_us", Unit: "µs CPU of the server's process a request"})
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "id\tvalue\tgoal\tunit")
	for i, r := range rows {
		rows[i].Value = median(b.rounds[r.ID])
		want := ""
		if r.Goal != nil {
			want = fmt.Sprintf("%.2f", *r.Goal)
		}
		fmt.Fprintf(table, "%s\t%.2f\t%s\t%s\n", r.ID, rows[i].Value, want, r.Unit)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d connections, medians of %d rounds of %s; PostgreSQL with fsync; servers, database and load share this machine.\n", b.connections, b.options.rounds, b.phase)
	fmt.Fprintln(out, "single: the same code with one order a transaction. bulk: the same rows, 256 orders a transaction, a statement a table, one writer.")
	fmt.Fprintf(out, "make bench-orders; the rows are in %s\n", b.out)
	return write(b.out, rows)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func write(path string, rows []row) error {
	raw, err := json.MarshalIndent(map[string][]row{"rows": rows}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}
