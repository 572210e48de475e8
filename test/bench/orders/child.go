package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/serve"
	"github.com/orderd-dev/orderd/test/bench/internal/pod"
	"github.com/orderd-dev/orderd/test/bench/internal/proc"
)

const noop = "noop"

// podMemory is as the operator starts a pod with 512 MiB.
var podMemory = []string{"GOGC=400", "GOMEMLIMIT=460MiB"}

// nothing is the handler that does nothing.
type nothing struct {
	orderv1connect.UnimplementedOrderServiceHandler
}

func (nothing) PlaceOrder(context.Context, *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	return &orderv1.PlaceOrderResponse{}, nil
}

// serveChild is what a child process does: the handler that does nothing, or a pod of the standard
// role as a cluster runs it.
func serveChild(ctx context.Context, what string) error {
	if what != noop {
		c, err := config.Load(what)
		if err != nil {
			return err
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		return serve.Run(ctx, serve.Options{Role: config.RoleStandard, Config: c, Name: "bench", Version: "bench", Log: log})
	}
	server := connect.NewServer()
	orderv1connect.RegisterOrderServiceHandler(server, nothing{})
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	s := &http.Server{Handler: mux, ReadHeaderTimeout: proc.StartWithin}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func startNoop(ctx context.Context) (*proc.Child, error) {
	c, err := proc.Start(ctx, proc.Options{Args: []string{"-child=" + noop}, Env: podMemory})
	if err != nil {
		return nil, err
	}
	address, err := c.Line()
	if err != nil {
		c.Stop()
		return nil, fmt.Errorf("the handler that does nothing did not start: %w", err)
	}
	c.URL = "http://" + address
	return c, nil
}

// startPod starts a pod of the standard role on the database, and waits until it is ready;
// placeBatch is the most orders a transaction, 0: as configured by default.
func (b *bench) startPod(ctx context.Context, name, databaseURL string, placeBatch int) (*proc.Child, error) {
	c, file, err := pod.Config(pod.Options{
		Folder: b.folder, Name: name, DatabaseURL: databaseURL, NATSURL: b.nats.ClientURL(), JWKSURL: b.jwks,
		Change: func(c *config.Config) {
			if placeBatch > 0 {
				c.Orders.PlaceBatch = placeBatch
			}
		},
	})
	if err != nil {
		return nil, err
	}
	child, err := proc.Start(ctx, proc.Options{Args: []string{"-child=" + file}, Env: podMemory})
	if err != nil {
		return nil, err
	}
	child.URL = "http://" + c.HTTP.Address
	if err := child.Ready(ctx, "http://"+c.HTTP.AdminAddress+"/readyz"); err != nil {
		child.Stop()
		return nil, err
	}
	return child, nil
}
