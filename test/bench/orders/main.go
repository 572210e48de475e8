// Command orders measures the standard lane: PlaceOrder of two lines under 128 connections, against
// a handler that does nothing, against the same order as one transaction a request, and against the
// database's own bulk insert of the same rows; then GetOrder, ListOrders and QuoteOrder. Every
// figure is a ratio within one run, or goes with one. The database is a PostgreSQL of its own that
// has every commit on disk before it answers.
//
//	make bench-orders
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
	connections int
	rounds      int
	phase, warm time.Duration
	skus        int
	out         string
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
	var child string
	flag.IntVar(&o.connections, "connections", 128, "callers at once, each with a connection of its own")
	flag.IntVar(&o.rounds, "rounds", 3, "how often the alternatives take turns; each row is the median of its rounds")
	flag.DurationVar(&o.phase, "phase", 8*time.Second, "how long each is measured a round")
	flag.DurationVar(&o.warm, "warm", 2*time.Second, "how long each runs before it is measured")
	flag.IntVar(&o.skus, "skus", 1000, "how many SKUs there are")
	flag.StringVar(&o.out, "out", "bin/bench/orders.json", "file the rows are written to")
	flag.StringVar(&child, "child", "", "run a server for another process of this command: noop, or a configuration file")
	flag.Parse()
	if child != "" {
		return serveChild(ctx, child)
	}
	return measure(ctx, o)
}
