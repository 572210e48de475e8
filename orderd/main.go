// Command orderd is the order platform's one binary: a pod of any role, and the database's migration.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/version"
	"github.com/orderd-dev/orderd/orderd/serve"
	"github.com/orderd-dev/orderd/orderd/shop/schema"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := command(os.Stdout).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "orderd:", err)
		os.Exit(1)
	}
}

func command(out *os.File) *cobra.Command {
	var configPath string
	log := slog.New(slog.NewJSONHandler(out, nil))
	root := &cobra.Command{
		Use: "orderd", Short: "An order platform for shops with tens of millions of users",
		SilenceUsage: true, SilenceErrors: true,
	}
	withConfig := func(c *cobra.Command) *cobra.Command {
		c.Flags().StringVar(&configPath, "config", "/etc/orderd/config.yaml", "the configuration file")
		return c
	}
	root.AddCommand(
		withConfig(serveCommand(&configPath, log)),
		withConfig(&cobra.Command{
			Use: "migrate", Short: "Bring the database's tables to this version, then exit", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return migrate(c.Context(), configPath, log) },
		}),
		&cobra.Command{
			Use: "version", Short: "Print the version", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { _, err := fmt.Fprintln(out, version.String()); return err },
		},
	)
	return root
}

func serveCommand(configPath *string, log *slog.Logger) *cobra.Command {
	var role, name, advertise, advertiseHost string
	c := &cobra.Command{
		Use: "serve", Short: "Run a pod of one role until SIGTERM, then drain", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := load(*configPath, log)
			if err != nil {
				return err
			}
			return serve.Run(c.Context(), serve.Options{
				Role: config.Role(role), Config: cfg, Name: name, Advertise: advertise, AdvertiseHost: advertiseHost,
				Version: version.String(), Log: log,
			})
		},
	}
	hostname, _ := os.Hostname()
	c.Flags().StringVar(&role, "role", "", "standard, flash or worker")
	c.Flags().StringVar(&name, "name", hostname, "the pod's name, unique in its pool")
	c.Flags().StringVar(&advertise, "advertise", "",
		"host:port at which other pods reach this one, an IPv6 address in brackets (flash)")
	c.Flags().StringVar(&advertiseHost, "advertise-host", "",
		"in its place, the host or IP address alone; the port is that of http.peerAddress (flash)")
	if err := c.MarkFlagRequired("role"); err != nil {
		panic(err)
	}
	return c
}

// load says what of the file this version does not know: a mistake, if no other version wrote it.
func load(path string, log *slog.Logger) (config.Config, error) {
	if err := config.Unknown(path); err != nil {
		log.Warn("what this version does not know is left out", "error", err)
	}
	return config.Load(path)
}

func migrate(ctx context.Context, configPath string, log *slog.Logger) error {
	cfg, err := load(configPath, log)
	if err != nil {
		return err
	}
	url, err := config.ReadSecret(cfg.Database.URLFile)
	if err != nil {
		return fmt.Errorf("database.urlFile: %w", err)
	}
	secured, err := database.FileTLS(cfg.Database.CAFile, cfg.Database.CertificateFile, cfg.Database.KeyFile)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return schema.Migrate(ctx, url, log, database.MigrateWithTLS(secured))
}
