package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderd-dev/orderd/hack/demo/platform"
	"github.com/orderd-dev/orderd/hack/demo/report"
	"github.com/orderd-dev/orderd/hack/demo/sale"
	"github.com/orderd-dev/orderd/hack/demo/target"
)

// runOptions are the flags of `demo run`.
type runOptions struct {
	target string
	sale   sale.Options
	report string
}

func runCommand() *cobra.Command {
	o := runOptions{}
	cmd := &cobra.Command{
		Use: "run", Short: "Install orderd, hold a sale, print and write the report", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.target, "target", "bin/demo/target.yaml", "the cluster, as hack/demo/prepare.sh writes it")
	f.StringVar(&o.report, "report", "bin/demo/report.json", "file the figures are written to")
	f.DurationVar(&o.sale.StartIn, "start-in", 40*time.Second, "how far ahead the sale starts")
	f.DurationVar(&o.sale.Length, "length", 20*time.Second, "how long the sale lasts")
	f.IntVar(&o.sale.Buyers, "buyers", 20_000, "how many buyers come")
	f.IntVar(&o.sale.InFlight, "in-flight", 256, "the most requests that wait for an answer at once")
	f.IntVar(&o.sale.RushSeconds, "rush-seconds", 14, "seconds after the start in which most buyers come")
	return cmd
}

func (o *runOptions) run(ctx context.Context, out io.Writer) error {
	began := time.Now()
	log := steps(out, began)
	t, err := target.Read(o.target)
	if err != nil {
		return err
	}
	up, err := platform.Up(ctx, t, log)
	if err != nil {
		return err
	}
	o.sale.Kube, o.sale.Cluster, o.sale.Promotion, o.sale.Image = up.Kube, up.Cluster, up.Promotion, t.Images.Demo
	o.sale.Log, o.sale.Progress = log, out
	o.sale.Run = fmt.Sprintf("%x", began.Unix())
	o.sale.Seed = uint64(began.UnixNano())
	facts, err := sale.Run(ctx, o.sale)
	if err != nil {
		return err
	}
	r := report.New(facts)
	if err := r.Write(o.report); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe sale of %s, %s\n\n", facts.Plan.Promotion, facts.Plan.Start.Format(time.RFC3339))
	if err := r.Print(out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s in all; the same figures are in %s\n", time.Since(began).Round(time.Second), o.report)
	return verdict(facts)
}

// steps logs for people: seconds since the beginning in place of the time.
func steps(out io.Writer, began time.Time) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey:
			return slog.String("at", fmt.Sprintf("%.1fs", time.Since(began).Seconds()))
		case slog.LevelKey:
			return slog.Attr{}
		}
		return a
	}}))
}

// verdict is an error that names every broken promise.
func verdict(facts report.Facts) error {
	broken := report.Broken(facts)
	if len(broken) == 0 {
		return nil
	}
	return errors.New("the sale broke its promises:\n  " + strings.Join(broken, "\n  "))
}
