package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/orderd-dev/orderd/hack/demo/kube"
	"github.com/orderd-dev/orderd/hack/demo/platform"
	"github.com/orderd-dev/orderd/hack/demo/report"
	"github.com/orderd-dev/orderd/hack/demo/sale"
)

// runOptions are the flags of `demo run`.
type runOptions struct {
	platform        platform.Options
	sale            sale.Options
	databaseURLFile string
	report          string
}

func runCommand() *cobra.Command {
	o := runOptions{}
	cmd := &cobra.Command{
		Use: "run", Short: "Install orderd, hold a sale, print and write the report", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

func (o *runOptions) flags(f *pflag.FlagSet) {
	k := &o.platform.Kube
	f.StringVar(&k.Kubectl, "kubectl", "kubectl", "kubectl program")
	f.StringVar(&k.Helm, "helm", "helm", "helm program")
	f.StringVar(&k.Kubeconfig, "kubeconfig", "", "kubeconfig file; empty: kubectl's default")
	f.StringVar(&k.Namespace, "namespace", "default", "namespace of the OrderCluster")
	f.StringVar(&o.platform.SystemNamespace, "system-namespace", "orderd-system", "namespace of the operator")
	f.StringArrayVar(&o.platform.Eval, "eval", nil, "kustomize folder with NATS or the database; may be repeated")
	f.StringVar(&o.platform.Chart, "chart", "charts/orderd", "chart of the operator")
	f.StringVar(&o.platform.Samples, "samples", "config/samples", "folder of the sample resources")
	f.StringVar(&o.databaseURLFile, "database-url-file", "", "file with the database's URL, as pods reach it")
	f.StringVar(&o.platform.OrderdImage, "orderd-image", "", "image of orderd")
	f.StringVar(&o.platform.OperatorImage, "operator-image", "", "image of the operator")
	f.StringVar(&o.sale.Image, "demo-image", "", "image of this program")
	f.DurationVar(&o.sale.StartIn, "start-in", time.Minute, "how far ahead the sale starts")
	f.DurationVar(&o.sale.Length, "length", 25*time.Second, "how long the sale lasts")
	f.IntVar(&o.sale.Buyers, "buyers", 20_000, "how many buyers come")
	f.IntVar(&o.sale.InFlight, "in-flight", 256, "the most requests that wait for an answer at once")
	f.IntVar(&o.sale.RushSeconds, "rush-seconds", 18, "seconds after the start in which most buyers come")
	f.StringVar(&o.report, "report", "bin/demo/report.json", "file the figures are written to")
}

func (o *runOptions) run(ctx context.Context, out io.Writer) error {
	began := time.Now()
	log := slog.New(slog.NewTextHandler(out, nil))
	url, err := os.ReadFile(o.databaseURLFile)
	if err != nil {
		return fmt.Errorf("reading the database's URL: %w", err)
	}
	o.platform.DatabaseURL, o.platform.Log = strings.TrimSpace(string(url)), log
	cluster, err := platform.Up(ctx, o.platform)
	if err != nil {
		return err
	}
	samples, err := kube.ReadObjects(o.platform.Samples)
	if err != nil {
		return err
	}
	if o.sale.Promotion, err = kube.ByKind(samples, "PromotionEvent"); err != nil {
		return err
	}
	o.sale.Kube, o.sale.Cluster, o.sale.Log, o.sale.Progress = o.platform.Kube, cluster, log, out
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

// verdict is an error that names every broken promise.
func verdict(facts report.Facts) error {
	broken := report.Broken(facts)
	if len(broken) == 0 {
		return nil
	}
	return errors.New("the sale broke its promises:\n  " + strings.Join(broken, "\n  "))
}
