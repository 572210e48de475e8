// Command operator runs OrderClusters and PromotionEvents.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/orderd-dev/orderd/operator/run"
	"github.com/orderd-dev/orderd/orderd/kit/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := command(os.Stdout).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(1)
	}
}

func command(out *os.File) *cobra.Command {
	o := run.Options{Clock: time.Now, Version: version.String(), Log: slog.New(slog.NewJSONHandler(out, nil))}
	c := &cobra.Command{
		Use: "operator", Short: "Run OrderClusters and PromotionEvents", Args: cobra.NoArgs, Version: o.Version,
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := ctrl.GetConfig()
			if err != nil {
				return fmt.Errorf("finding the API server: %w", err)
			}
			o.Config = config
			o.Log.Info("starting", "version", o.Version)
			return run.Run(c.Context(), o)
		},
	}
	c.AddCommand(&cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { _, err := fmt.Fprintln(out, o.Version); return err },
	})
	o.Flags(c)
	return c
}
