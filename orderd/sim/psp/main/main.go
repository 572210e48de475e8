// Command main runs the payment providers' simulator as a program of its own, for a demo.
//
// It reads its keys from the file -keys, and makes them if it is not there; -secrets writes the
// directories that orderd's payments[].secretDir names and ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/orderd-dev/orderd/orderd/sim/psp"
)

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", ":8090", "address to listen on")
	flag.StringVar(&o.keys, "keys", "keys.json", "file of the keys; made if it is not there")
	flag.StringVar(&o.secrets, "secrets", "", "write what orderd needs to this directory and end")
	flag.StringVar(&o.public, "public-url", "", "its base URL in URLs that it hands out; that of the request if empty")
	flag.StringVar(&o.webhook, "stripe-webhook", "", "where Stripe's events go")
	flag.Parse()
	if err := o.run(); err != nil {
		slog.Error("psp ended", "error", err)
		os.Exit(1)
	}
}

type options struct{ listen, keys, secrets, public, webhook string }

func (o options) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	keys, err := psp.LoadKeys(o.keys)
	if errors.Is(err, os.ErrNotExist) {
		if keys, err = psp.GenerateKeys(); err == nil {
			err = keys.Save(o.keys)
		}
	}
	if err != nil {
		return err
	}
	if o.secrets != "" {
		return keys.WriteSecrets(o.secrets)
	}
	simulator, err := psp.NewServer(psp.Options{Keys: keys, PublicURL: o.public, StripeWebhook: o.webhook})
	if err != nil {
		return err
	}
	defer simulator.Close()
	server := &http.Server{Addr: o.listen, Handler: simulator, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	slog.Info("payment providers' simulator", "address", o.listen)
	select {
	case err := <-ended:
		return fmt.Errorf("listening: %w", err)
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return server.Shutdown(closing)
}
