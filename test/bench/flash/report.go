package main

import (
	"fmt"
	"io"
	"time"

	"github.com/orderd-dev/orderd/test/bench/internal/report"
)

func goal(v float64) *float64 { return &v }

// rows of the report, in its order; those that were not measured are left out.
func rows() []report.Row {
	const ratio, perSecond = "ratio", "orders/s"
	all := []report.Row{
		{ID: "unary_vs_noop", Unit: ratio, Goal: goal(0.85)},
		{ID: "unary_vs_redis", Unit: ratio, Goal: goal(2)},
		{ID: "unary_vs_sql", Unit: ratio, Goal: goal(15)},
		{ID: "stream_vs_unary", Unit: ratio, Goal: goal(8)},
		{ID: "stream_accepted_per_second", Unit: perSecond, Goal: goal(42_500)},
		{ID: "sold_out_vs_noop", Unit: ratio, Goal: goal(0.95)},
		{ID: "overload_p99_ratio", Unit: ratio, Goal: goal(3), AtMost: true},
		{ID: "standard_p99_ratio", Unit: ratio, Goal: goal(1.3), AtMost: true},
		{ID: "unary_vs_bare", Unit: "ratio, to a handler that does nothing with nothing around it"},
		{ID: "disk_vs_noop", Unit: "ratio of a handler that only puts its request on disk"},
		{ID: "unary_vs_disk", Unit: ratio},
		{ID: "stream_refused_per_second", Unit: "refusals/s"},
		{ID: "stream_p99_ms", Unit: "ms"},
		{ID: "stream_cpu_us", Unit: "µs CPU of pod and NATS an order"},
	}
	for _, size := range recordSizes {
		name := fmt.Sprintf("engine_record_%d", size)
		all = append(all, report.Row{ID: name + "_per_second", Unit: perSecond},
			report.Row{ID: name + "_cpu_us", Unit: "µs CPU of the engine's process an order"})
	}
	for _, name := range []string{
		"noop", "bare", "disk", "unary", "redis", "sql", "sold_out", "capacity", "half", "rush",
	} {
		all = append(all, report.Row{ID: name + "_per_second", Unit: "answers/s"},
			report.Row{ID: name + "_p99_ms", Unit: "ms"},
			report.Row{ID: name + "_cpu_us", Unit: "µs CPU of all servers an answer"})
	}
	all = append(
		all,
		report.Row{
			ID:   "rush_accepted_of_capacity",
			Unit: ratio,
		},
		report.Row{ID: "rush_refused_per_second", Unit: "refusals/s"},
		report.Row{ID: "rush_sent_of_capacity", Unit: ratio},
		report.Row{ID: "standard_alone_p99_ms", Unit: "ms"},
		report.Row{ID: "standard_beside_sale_p99_ms", Unit: "ms"},
		report.Row{ID: "standard_beside_loops_p99_ms", Unit: "ms"},
		report.Row{
			ID:   "standard_beside_loops_p99_ratio",
			Unit: "ratio, beside loops that do nothing at the lowest priority in place of a sale",
		},
		report.Row{ID: "sale_beside_standard_per_second", Unit: perSecond},
	)
	for pods := 1; pods <= mostPods; pods++ {
		for _, routing := range []string{"random", "owner"} {
			name := fmt.Sprintf("pods_%d_%s", pods, routing)
			all = append(all, report.Row{ID: name + "_per_second", Unit: perSecond},
				report.Row{ID: name + "_p99_ms", Unit: "ms"},
				report.Row{ID: name + "_cpu_us", Unit: "µs CPU of pods and NATS an order"})
		}
	}
	return all
}

// report prints the table and writes the file.
func (b *bench) report(out io.Writer) error {
	measured := b.rounds.Fill(rows())
	if err := report.Table(out, measured); err != nil {
		return err
	}
	fmt.Fprintf(
		out,
		"\nMedians of %d rounds of %s, after %s of warm-up each; a ratio is the median of the rounds' ratios. Everything "+
			"shares this machine.\n",
		b.options.rounds,
		b.phase,
		b.warm,
	)
	fmt.Fprintf(
		out,
		"%d connections, HTTP/1.1; stream: %d streams, %d messages of %d requests unanswered on each; %d partition(s) a "+
			"sale, one SKU, a buyer a request.\n",
		b.connections,
		b.streams,
		b.window,
		b.batch,
		b.partitions,
	)
	fmt.Fprintln(
		out,
		"On disk before the answer: NATS sync_interval always, PostgreSQL fsync and synchronous_commit on, Redis "+
			"appendfsync always.",
	)
	fmt.Fprintf(
		out,
		"noop, disk, redis and sql stand behind the same server as unary. half and rush: open loops of half of the "+
			"capacity and ten times of it, over %d and %d connections; times from when a request was due.\n",
		halfConnections,
		rushConnections,
	)
	fmt.Fprintf(out, "%s\n", b.groups)
	fmt.Fprintf(
		out,
		"make bench-flash; one part: go run ./test/bench/flash -only unary -rounds 1; profiles: -profile DIR -top. The "+
			"rows are in %s\n",
		b.out,
	)
	return report.Write(b.out, measured)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
