package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1, 3}, 3},
		{[]float64{4, 1, 9, 2}, 3},
	} {
		if got := Median(test.values); got != test.want {
			t.Errorf("Median(%v) = %v, want %v", test.values, got, test.want)
		}
	}
}

func TestMissed(t *testing.T) {
	goal := 3.0
	for _, test := range []struct {
		row  Row
		want bool
	}{
		{Row{Value: 1}, false},
		{Row{Value: 2.9, Goal: &goal}, true},
		{Row{Value: 3, Goal: &goal}, false},
		{Row{Value: 3.1, Goal: &goal, AtMost: true}, true},
		{Row{Value: 3, Goal: &goal, AtMost: true}, false},
	} {
		if got := test.row.Missed(); got != test.want {
			t.Errorf("%+v missed: %t, want %t", test.row, got, test.want)
		}
	}
}

func TestFillLeavesOutWhatWasNotMeasured(t *testing.T) {
	goal := 0.5
	rounds := Rounds{}
	rounds.Add("a", 1)
	rounds.Add("a", 5)
	rounds.Add("a", 2)
	got := rounds.Fill([]Row{{ID: "b", Unit: "x"}, {ID: "a", Unit: "y", Goal: &goal}})
	if diff := cmp.Diff([]Row{{ID: "a", Value: 2, Unit: "y", Goal: &goal}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTableAndFile(t *testing.T) {
	least, most := 0.85, 3.0
	rows := []Row{
		{ID: "unary_vs_noop", Value: 0.9, Unit: "ratio", Goal: &least},
		{ID: "overload_p99_ratio", Value: 4, Unit: "ratio", Goal: &most, AtMost: true},
	}
	var table strings.Builder
	if err := Table(&table, rows); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"≥ 0.85", "reached", "≤ 3.00", "missed"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
	path := filepath.Join(t.TempDir(), "folder", "rows.json")
	if err := Write(path, rows[:1]); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "rows": [
    {
      "id": "unary_vs_noop",
      "value": 0.9,
      "unit": "ratio",
      "goal": 0.85,
      "better": "higher"
    }
  ]
}
`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}
}
