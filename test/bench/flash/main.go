// Command flash measures the flash lane in one run on one machine, every write on disk before it is
// answered: unary calls against a handler that does nothing, against the usual recipe on Redis and
// against SQL; the stream RPC; the engine by itself; sold-out answers; how long buyers wait while
// ten times the capacity is asked for; what a sale does to the standard lane beside it; and what
// more pods add. Every system has processes of its own, and the load is in another.
//
//	make bench-flash
//
// What is fair:
//   - The handler that does nothing stands in a flash pod's place, behind everything that is around
//     the real one: the gate, metrics, authentication, limits of the caller, validation, the same
//     messages, an answer of the same size. So do Redis' and SQL's. A handler behind nothing at all
//     is measured as well (bare), without a goal.
//   - All of these are called by the same client, on the same number of connections.
//   - Redis and SQL do what the flash lane does: the same request again gets the same order, a
//     buyer gets no more than the limit, nothing is oversold, and nobody hears of an order that is
//     not on disk. Each has the variant that was measured to be the quickest.
//   - Alternatives take turns in rounds; a row is the median of its rounds, and a ratio is
//     taken within each round.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Parts of a run, by which -only names them.
const (
	partUnary    = "unary"
	partStream   = "stream"
	partEngine   = "engine"
	partSoldOut  = "soldout"
	partOverload = "overload"
	partStandard = "standard"
	partPods     = "pods"
)

var parts = []string{partUnary, partStream, partEngine, partSoldOut, partOverload, partStandard, partPods}

// options of a run.
type options struct {
	connections, rounds int
	phase, warm         time.Duration
	only                []string
	// partitions of a sale.
	partitions int
	// streams, messages on the way on each, and requests a message.
	streams, window, batch int
	out, profile           string
	top                    bool
}

func (o options) has(part string) bool { return len(o.only) == 0 || slices.Contains(o.only, part) }

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
	var child, only string
	flag.IntVar(&o.connections, "connections", 128, "callers of unary RPCs at once, each with a connection of its own")
	flag.IntVar(&o.rounds, "rounds", 5, "how often the alternatives take turns; each row is the median of its rounds")
	flag.DurationVar(&o.phase, "phase", 3*time.Second, "how long each is measured a round")
	flag.DurationVar(&o.warm, "warm", time.Second, "how long each runs before it is measured")
	flag.IntVar(&o.partitions, "partitions", 2, "partitions of a sale on one pod; the operator plans two")
	flag.IntVar(&o.streams, "streams", 4, "streams of PlaceFlashOrders at once")
	flag.IntVar(&o.window, "window", 4, "messages unanswered on a stream")
	flag.IntVar(&o.batch, "batch", 512, "requests a message")
	flag.StringVar(&only, "only", "", "parts to run, joined by commas, of "+strings.Join(parts, ",")+"; all if empty")
	flag.StringVar(&o.out, "out", "bin/bench/flash.json", "file the rows are written to")
	flag.StringVar(&o.profile, "profile", "",
		"folder for CPU profiles of the pod and of NATS, one more phase of unary and of stream each")
	flag.BoolVar(&o.top, "top", false, "print the ten hottest functions of the profiles")
	flag.StringVar(&child, "child", "", "run a process for another one of this command, which says here which")
	flag.Parse()
	if child != "" {
		return runChild(ctx, child)
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, part := range o.only {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("-only: there is no part %q", part)
		}
	}
	if o.top && o.profile == "" {
		o.profile = "bin/bench/profiles"
	}
	return measure(ctx, o)
}
