package main

import (
	"fmt"

	"github.com/orderd-dev/orderd/test/bench/internal/report"
)

func goal(v float64) *float64 { return &v }

// rows of the report, in its order.
func rows(sizes []int64) []report.Row {
	var all []report.Row
	for _, c := range calls {
		for _, size := range sizes {
			all = append(all, report.Row{
				ID: fmt.Sprintf("%s_p99_ms_%d", c.name, size), Unit: "ms", Goal: goal(200), AtMost: true,
			})
		}
		all = append(all, report.Row{
			ID: c.name + "_growth", Unit: "ratio of p99, the largest to the smallest (at least 1 ms)",
			Goal: goal(1.5), AtMost: true,
		})
	}
	for _, size := range sizes {
		all = append(all, report.Row{
			ID: fmt.Sprintf("follow_per_second_%d", size), Unit: "orders/s by one worker", Goal: goal(3000),
		})
	}
	return all
}
