// Command chaos holds one flash sale a seed on an orderd of real processes, three NATS servers and
// a database, all on loopback, while pods, servers and the connections between them fail as the
// seed says; an auditor that knows only requests and answers, and the database and settlement at
// the end, decides whether each sale went as it must.
//
//	go run ./test/chaos -seeds 1:200
//
// The processes live over all seeds. What a seed does is fixed, but not the moment at which a
// process dies within a call: a failure may need several runs of its seed to come again, and its
// folder has every call and what the processes said.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// options of a run.
type options struct {
	first    uint64
	count    int
	duration time.Duration
	out      string
	verbose  bool
	stop     bool
}

func main() {
	testnats.RunNode()
	runPod()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := options{}
	seeds := "1:200"
	flag.StringVar(&seeds, "seeds", seeds, "FIRST:COUNT")
	flag.DurationVar(&o.duration, "duration", 0, "no new seed begins after this time; 0: all of them")
	flag.StringVar(&o.out, "out", "bin/chaos", "folder for what is kept of seeds that fail")
	flag.BoolVar(&o.stop, "stop", false, "stop at the first seed that fails")
	flag.BoolVar(&o.verbose, "v", false, "print every fault as it happens")
	flag.Parse()
	var err error
	if o.first, o.count, err = parseSeeds(seeds); err != nil {
		return err
	}
	return hold(ctx, o, os.Stdout)
}

func parseSeeds(s string) (uint64, int, error) {
	first, count, ok := strings.Cut(s, ":")
	if !ok {
		count = "1"
	}
	f, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("-seeds %q: %w", s, err)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 {
		return 0, 0, fmt.Errorf("-seeds %q: the count is at least 1", s)
	}
	return f, n, nil
}

// hold the sales of all seeds, one after the other.
func hold(ctx context.Context, o options, out *os.File) error {
	dir, err := os.MkdirTemp("", "orderd-chaos-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	begun := time.Now()
	w, err := newWorld(ctx, dir)
	if w != nil {
		defer w.stop()
	}
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	_, _ = fmt.Fprintf(out, "3 NATS servers, database (%s), 3 flash pods, 2 workers and a standard pod are up after %s\n",
		w.db.kind, time.Since(begun).Round(100*time.Millisecond))
	begun = time.Now()
	var failed []string
	var sums tally
	done := 0
	for i := range o.count {
		if ctx.Err() != nil || o.duration > 0 && time.Since(begun) > o.duration {
			break
		}
		v := w.seed(ctx, o.first+uint64(i), o.verbose)
		if ctx.Err() != nil && len(v.violated) > 0 {
			break
		}
		done++
		sums.add(v.tally)
		_, _ = fmt.Fprintf(out, "%s (%d of %d, %d failed, %s)\n", v, done, o.count, len(failed),
			time.Since(begun).Round(time.Second))
		if len(v.violated) == 0 {
			continue
		}
		failed = append(failed, strconv.FormatUint(v.seed, 10))
		folder := filepath.Join(o.out, fmt.Sprintf("seed-%d", v.seed))
		if err := w.keep(v, folder); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "  kept in %s; again: go run ./test/chaos -seeds %d:1\n", folder, v.seed)
		if o.stop {
			break
		}
	}
	_, _ = fmt.Fprintf(out, "%d seeds in %s, %d failed %s; %s\n", done, time.Since(begun).Round(time.Second), len(failed),
		strings.Join(failed, " "), sums)
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d seeds failed", len(failed), done)
	}
	return ctx.Err()
}
