// Command dev runs a whole shop in one process, without a cluster, for who builds an app on orderd: a
// database and NATS with their data in a folder, everything that a shop has outside orderd, and all of
// orderd's roles. It prints where they are, a buyer's token and calls that work. Promotions are held
// from the manifests that Kubernetes would take:
//
//	go run ./hack/dev -f config/samples/40-promotionevent.yaml
//
// It is for one person and for tests: whoever reaches it may be anybody.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/orderd-dev/orderd/hack/dev/home"
	"github.com/orderd-dev/orderd/hack/dev/stack"
	"github.com/orderd-dev/orderd/orderd/kit/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "orderd dev:", err)
		os.Exit(1)
	}
}

// list is a flag that may come several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o := stack.Options{Out: out}
	var manifests, origins list
	flags := flag.NewFlagSet("dev", flag.ContinueOnError)
	flags.Var(&manifests, "f", "a `file or folder` with PromotionEvents to hold; edits are followed; may be repeated")
	flags.Var(&origins, "origin",
		"a `site` whose pages may call the shop from a browser; may be repeated; unset: every one on this machine")
	data := flags.String("data", ".orderd", "the `folder` that data are kept in")
	reset := flags.Bool("reset", false, "forget the data of before first; tables in a database that -database names stay")
	flags.StringVar(&o.DatabaseURL, "database", "",
		"the `URL` of a PostgreSQL or CockroachDB database; unset: one of its own, from what is installed")
	flags.IntVar(&o.Port, "port", 8080, "the first of ten ports in a row")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("what is %q? manifests come with -f", flags.Arg(0))
	case *data == "":
		return errors.New("-data must name a folder")
	case o.Port < 1 || o.Port > stack.MaxPort:
		return fmt.Errorf("-port %d: must be from 1 to %d", o.Port, stack.MaxPort)
	}
	if o.Origins = origins; len(origins) == 0 {
		o.Origins = []string{"http://localhost:*", "http://127.0.0.1:*"}
	}
	for _, origin := range o.Origins {
		if !config.IsOrigin(origin) {
			return fmt.Errorf("-origin %s: must be scheme://host or scheme://host:port, as a browser writes it", origin)
		}
	}
	o.Manifests = manifests
	for _, path := range manifests {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("-f: %w", err)
		}
	}
	var err error
	waiting := func() {
		_, _ = fmt.Fprintf(out, "another process has the data in %s; waiting for it to end…\n", *data)
	}
	if o.Home, err = home.Open(ctx, *data, waiting); err != nil {
		return fmt.Errorf("-data: %w", err)
	}
	o.Reset = *reset
	return stack.Run(ctx, o)
}
