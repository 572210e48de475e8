package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/serve"
	"github.com/orderd-dev/orderd/test/bench/internal/proc"
)

// Kinds of child processes.
const (
	// kindPod is a pod as a cluster runs it; the other kinds of pod are the same with
	// another FlashService in it.
	kindPod   = "pod"
	kindNoop  = "noop"
	kindRedis = "redis"
	kindSQL   = "sql"
	// kindDisk writes each request to a file.
	kindDisk = "disk"
	// kindBare is the handler that does nothing with nothing around it.
	kindBare = "bare"
	// kindNATS is a NATS server that has every write on disk before it answers.
	kindNATS = "nats"
	// kindEngine has a partition's owner and its log, and no RPC.
	kindEngine = "engine"
	// kindBuyers are a sale's buyers.
	kindBuyers = "buyers"
	// kindIdle are loops that do nothing.
	kindIdle = "idle"
)

// spec is what a child is told.
type spec struct {
	Kind string
	// Role and Config file of a pod, its Name in the pool and the address that other pods reach it
	// at.
	Role                    config.Role
	Config, Name, Advertise string
	// Redis' address, or the database's URL.
	Backend string
	// Store is NATS' folder, or the disk's file.
	Store string
	// Profile is the file that it profiles itself into when it is asked to.
	Profile string
	Engine  engineSpec
	Buyers  buyersSpec
}

func runChild(ctx context.Context, raw string) error {
	var s spec
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		return fmt.Errorf("-child: %w", err)
	}
	if s.Profile != "" {
		proc.ProfileOnSignal(ctx, s.Profile)
	}
	switch s.Kind {
	case kindBare:
		return serveBare(ctx)
	case kindNATS:
		return serveNATS(ctx, s.Store)
	case kindEngine:
		return runEngine(ctx, s.Engine)
	case kindBuyers:
		return runBuyers(ctx, s.Buyers)
	case kindIdle:
		return loopIdle(ctx)
	}
	service, err := peer(ctx, s)
	if err != nil {
		return err
	}
	c, err := config.Load(s.Config)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return serve.Run(ctx, serve.Options{
		Role: s.Role, Config: c, Name: s.Name, Advertise: s.Advertise, Version: "bench", Log: log, FlashService: service,
	})
}

// serveBare prints its address.
func serveBare(ctx context.Context) error {
	server := connect.NewServer()
	flashv1connect.RegisterFlashServiceHandler(server, newNothing())
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

// serveNATS prints its URL.
func serveNATS(ctx context.Context, store string) error {
	server, err := natsserver.NewServer(&natsserver.Options{
		ServerName: "bench",
		Host:       "127.0.0.1",
		Port:       natsserver.RANDOM_PORT,
		JetStream:  true,
		StoreDir:   store,
		SyncAlways: true,
		NoSigs:     true,
		NoLog:      true,
	})
	if err != nil {
		return err
	}
	server.Start()
	if !server.ReadyForConnections(proc.StartWithin) {
		return errors.New("NATS did not start")
	}
	fmt.Println(server.ClientURL())
	<-ctx.Done()
	server.Shutdown()
	return nil
}
