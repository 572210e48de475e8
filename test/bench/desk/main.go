// Command desk measures what staff wait for: an order by its keys, lists by each filter, counts, and how fast the
// desk's table follows, at 100,000, 1,000,000 and 10,000,000 orders in a PostgreSQL of its own. The orders have one
// line and their whole life; they are made once and kept between runs. Where the disk is too small for the largest
// size, 3,000,000 is.
//
//	make bench-desk
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options of a run.
type options struct {
	dir, out string
	most     int64
	phase    time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := options{}
	flag.StringVar(&o.dir, "dir", "bin/bench/desk-data", "folder of the database, which is kept")
	flag.StringVar(&o.out, "out", "bin/bench/desk.json", "file the rows are written to")
	flag.Int64Var(&o.most, "most", 10_000_000, "how many orders there are in the end")
	flag.DurationVar(&o.phase, "phase", 4*time.Second, "how long each call is repeated")
	flag.Parse()
	return measure(ctx, o)
}
