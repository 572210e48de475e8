// Package report is what a benchmark says in the end: a table, and a file of the same rows.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// Row is one figure.
type Row struct {
	ID    string  `json:"id"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Goal is the least the value should be, or with AtMost the most; only where one is set.
	Goal   *float64 `json:"goal,omitempty"`
	AtMost bool     `json:"-"`
	// Better is higher or lower; Write knows it of times, and of what has a goal.
	Better string `json:"better"`
}

// Missed says whether the row has a goal and is not there.
func (r Row) Missed() bool {
	if r.Goal == nil {
		return false
	}
	if r.AtMost {
		return r.Value > *r.Goal
	}
	return r.Value < *r.Goal
}

// Rounds has the values of each row, by its id, in the rounds of a run.
type Rounds map[string][]float64

// Add a round's value.
func (r Rounds) Add(id string, value float64) { r[id] = append(r[id], value) }

// Fill returns those of the rows that were measured; a row's value is the median of its rounds.
func (r Rounds) Fill(rows []Row) []Row {
	var filled []Row
	for _, row := range rows {
		if values := r[row.ID]; len(values) > 0 {
			row.Value = Median(values)
			filled = append(filled, row)
		}
	}
	return filled
}

// Median is the middle one of the values, of an even number the mean of the two in the middle; 0 of
// none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// Table prints the rows.
func Table(out io.Writer, rows []Row) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "id\tvalue\tgoal\t\tunit")
	for _, r := range rows {
		goal, verdict := "", ""
		if r.Goal != nil {
			goal, verdict = fmt.Sprintf("≥ %.2f", *r.Goal), "reached"
			if r.AtMost {
				goal = fmt.Sprintf("≤ %.2f", *r.Goal)
			}
			if r.Missed() {
				verdict = "missed"
			}
		}
		fmt.Fprintf(table, "%s\t%.2f\t%s\t%s\t%s\n", r.ID, r.Value, goal, verdict, r.Unit)
	}
	return table.Flush()
}

// Write the rows to a JSON file, whose folder is made.
func Write(path string, rows []Row) error {
	rows = slices.Clone(rows)
	for i, r := range rows {
		rows[i].Better = "higher"
		if r.AtMost || strings.HasPrefix(r.Unit, "ms") || strings.HasPrefix(r.Unit, "µs") {
			rows[i].Better = "lower"
		}
	}
	raw, err := json.MarshalIndent(map[string][]Row{"rows": rows}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}
