// Command demo shows one sale end to end. On the developer's machine, `demo run` installs orderd on a
// cluster and drives the sale; in pods, `demo seed`, `demo stock` and `demo buyers` play the shop's
// staff and the crowd, `demo knock` an app that notices what is dropped, and `demo outside` is what a
// shop has beside orderd.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/orderd-dev/orderd/hack/demo/buyers"
	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/hack/demo/seed"
	"github.com/orderd-dev/orderd/orderd/kit/version"
	"github.com/orderd-dev/orderd/orderd/sim/outside"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{Use: "demo", Short: "One sale, end to end", SilenceUsage: true}
	root.AddCommand(
		runCommand(),
		podCommand("seed", "Create the SKUs and fill their stock", func(cmd *cobra.Command, p plan.Plan) error {
			return seed.Fill(cmd.Context(), p, cmd.OutOrStdout())
		}),
		podCommand("stock", "Print the SKUs' stock", func(cmd *cobra.Command, p plan.Plan) error {
			return seed.Print(cmd.Context(), p, cmd.OutOrStdout())
		}),
		podCommand("buyers", "Come to the sale, check every order and pay it", func(cmd *cobra.Command, p plan.Plan) error {
			return buyers.Run(cmd.Context(), p, cmd.OutOrStdout())
		}),
		podCommand("knock", "Call the shop until it is stopped, and count what was dropped",
			func(cmd *cobra.Command, p plan.Plan) error { return seed.Knock(cmd.Context(), p, cmd.OutOrStdout()) }),
		outsideCommand(),
		&cobra.Command{
			Use: "version", Short: "Print the version", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), version.String())
				return err
			},
		},
	)
	if err := root.ExecuteContext(ctx); err != nil {
		stop()
		os.Exit(1) //nolint:gocritic // stop has run.
	}
}

func outsideCommand() *cobra.Command {
	o := outside.Options{}
	cmd := &cobra.Command{
		Use: "outside", Short: "Be the issuer, the carrier, the push gateway and the payment providers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return outside.Run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Address, "address", ":8090", "where to listen")
	f.StringVar(&o.Certificate, "certificate", "", "file with what to show (PEM); without it there is no TLS")
	f.StringVar(&o.Key, "key", "", "file with the certificate's key")
	f.StringVar(&o.URL, "url", "", "where others reach this pod; the issuer's name")
	f.StringVar(&o.ShopURL, "shop-url", "", "the standard pool's base URL, which the carrier pushes to")
	f.StringVar(&o.Audience, "audience", "", "the tokens' audience")
	f.StringVar(&o.Carrier, "carrier", "", "the carrier's name")
	f.StringVar(&o.Secrets, "secrets", "", "folder with the files carrier, push and issuer")
	f.StringVar(&o.PSPAddress, "psp-address", ":8091", "where to listen as the payment providers")
	f.StringVar(&o.PSPURL, "psp-url", "", "where others reach the payment providers")
	f.StringVar(&o.PSPKeys, "psp-keys", "", "file with the payment providers' keys; without it there are none")
	return cmd
}

// podCommand is a command that runs in a pod and takes a plan.
func podCommand(use, short string, run func(*cobra.Command, plan.Plan) error) *cobra.Command {
	var raw string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := plan.Parse(raw)
			if err != nil {
				return err
			}
			return run(cmd, p)
		},
	}
	cmd.Flags().StringVar(&raw, "plan", "", "the plan, as JSON")
	if err := cmd.MarkFlagRequired("plan"); err != nil {
		panic(fmt.Sprintf("flag plan: %v", err))
	}
	return cmd
}
