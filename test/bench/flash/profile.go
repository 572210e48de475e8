package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/google/pprof/profile"

	"github.com/orderd-dev/orderd/test/bench/internal/proc"
	"github.com/orderd-dev/orderd/test/bench/internal/report"
)

// hottest is how many functions of a profile are printed.
const hottest = 10

// profileOf is where a child profiles itself into; empty if it is not asked to.
func (b *bench) profileOf(name string) string {
	if b.profile == "" {
		return ""
	}
	return filepath.Join(b.folder, name+".pprof")
}

// profiles runs unary calls, sold-out answers and the stream once more, with a CPU profile of the
// pod and of NATS, and the handler that does nothing, to be compared with.
func (b *bench) profiles(ctx context.Context) error {
	if b.profile == "" {
		return nil
	}
	if err := os.MkdirAll(b.profile, 0o755); err != nil {
		return err
	}
	// What is measured meanwhile is no round.
	rounds := b.rounds
	b.rounds = report.Rounds{}
	defer func() { b.rounds = rounds }()
	flash := map[string]*proc.Child{"flash": b.pod, "nats": b.nats}
	for _, part := range []struct {
		name, of string
		children map[string]*proc.Child
		run      func(context.Context) (perSecond float64, err error)
	}{
		{kindNoop, partUnary, map[string]*proc.Child{kindNoop: b.noop}, func(ctx context.Context) (float64, error) {
			r, err := b.unaryOf(ctx, kindNoop, b.noop)
			return r.Accepted, err
		}},
		{partUnary, partUnary, flash, func(ctx context.Context) (float64, error) {
			r, err := b.unary(ctx)
			return r.Accepted, err
		}},
		{partSoldOut, partSoldOut, flash, func(ctx context.Context) (float64, error) {
			r, err := b.soldOut(ctx)
			return r.Refused, err
		}},
		{partStream, partStream, flash, func(ctx context.Context) (float64, error) {
			r, err := b.stream(ctx)
			return r.Accepted, err
		}},
	} {
		if !b.has(part.of) {
			continue
		}
		fmt.Printf("profile of %s\n", part.name)
		if err := b.profiled(ctx, part.name, part.children, part.run); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) profiled(
	ctx context.Context, name string, children map[string]*proc.Child, run func(context.Context) (float64, error),
) error {
	for _, child := range children {
		if err := child.Profile(); err != nil {
			return err
		}
	}
	perSecond, err := run(ctx)
	if err != nil {
		return err
	}
	for of, child := range children {
		if err := child.Profile(); err != nil {
			return err
		}
		path := filepath.Join(b.profile, name+"-"+of+".pprof")
		if err := copyFile(path, b.profileOf(of)); err != nil {
			return err
		}
		if !b.top {
			continue
		}
		orders := perSecond * (b.warm + b.phase).Seconds()
		if err := printTop(os.Stdout, fmt.Sprintf("%s: %s's process", name, of), path, orders); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, raw, 0o644)
}

// function is what a function took.
type function struct {
	name string
	// flat is its own time, total the time with all that it called.
	flat, total time.Duration
}

// functions of a CPU profile, those that took most themselves first, and all of its time.
func functions(p *profile.Profile) ([]function, time.Duration) {
	nanos := len(p.SampleType) - 1
	byName := map[string]*function{}
	of := func(name string) *function {
		if byName[name] == nil {
			byName[name] = &function{name: name}
		}
		return byName[name]
	}
	var sum time.Duration
	for _, s := range p.Sample {
		took := time.Duration(s.Value[nanos])
		sum += took
		seen := map[string]bool{}
		for i, l := range s.Location {
			for j, line := range l.Line {
				name := line.Function.Name
				if i == 0 && j == 0 {
					of(name).flat += took
				}
				if !seen[name] {
					seen[name] = true
					of(name).total += took
				}
			}
		}
	}
	var all []function
	for _, f := range byName {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b function) int {
		return cmp.Or(cmp.Compare(b.flat, a.flat), cmp.Compare(a.name, b.name))
	})
	return all, sum
}

// printTop prints the hottest functions of a profile, during which so many orders were accepted.
func printTop(out io.Writer, title, path string, orders float64) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	p, err := profile.Parse(file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	all, sum := functions(p)
	fmt.Fprintf(out, "%s, %.1f µs CPU an answer (%s)\n", title, micros(sum)/orders, path)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "itself\tan answer\twith callees\t function")
	for _, f := range all[:min(hottest, len(all))] {
		fmt.Fprintf(table, "%.1f%%\t%.2f µs\t%.1f%%\t %s\n", percent(f.flat, sum), micros(f.flat)/orders,
			percent(f.total, sum), f.name)
	}
	return table.Flush()
}

func percent(part, of time.Duration) float64 { return 100 * part.Seconds() / of.Seconds() }
