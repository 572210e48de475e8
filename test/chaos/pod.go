package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/serve"
	"github.com/orderd-dev/orderd/test/kit/testport"
	"github.com/orderd-dev/orderd/test/kit/testproc"
)

// What a child is told through its environment.
const (
	roleVariable      = "ORDERD_CHAOS_ROLE"
	nameVariable      = "ORDERD_CHAOS_POD"
	configVariable    = "ORDERD_CHAOS_CONFIG"
	advertiseVariable = "ORDERD_CHAOS_ADVERTISE"
	skewVariable      = "ORDERD_CHAOS_SKEW"
)

// runPod is a pod, if this process was started as one, and does not return then.
func runPod() {
	role := os.Getenv(roleVariable)
	if role == "" {
		return
	}
	if err := servePod(config.Role(role)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func servePod(role config.Role) error {
	c, err := config.Load(os.Getenv(configVariable))
	if err != nil {
		return err
	}
	skew, err := time.ParseDuration(os.Getenv(skewVariable))
	if err != nil {
		return fmt.Errorf("%s: %w", skewVariable, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	name := os.Getenv(nameVariable)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})).With("pod", name)
	return serve.Run(ctx, serve.Options{
		Role: role, Config: c, Name: name, Advertise: os.Getenv(advertiseVariable), Version: "chaos", Log: log,
		Clock: func() time.Time { return time.Now().Add(skew) },
	})
}

// pod of orderd, whose connections to everything but its callers can fail.
type pod struct {
	*testproc.Process
	role config.Role
	// url for callers.
	url   string
	admin string
	// nats are its ways to the servers; peers is the others' way to it.
	nats  []*proxy
	peers *proxy

	mu   sync.Mutex
	skew time.Duration
}

// podOptions are what pods differ in.
type podOptions struct {
	dir, name string
	role      config.Role
	base      config.Config
	// servers of NATS.
	servers []string
	log     io.Writer
}

func newPod(ctx context.Context, o podOptions) (*pod, error) {
	c := o.base
	for _, a := range []*string{&c.HTTP.Address, &c.HTTP.AdminAddress, &c.HTTP.PeerAddress} {
		var err error
		if *a, err = testport.Address(); err != nil {
			return nil, err
		}
	}
	p := &pod{role: o.role, url: "http://" + c.HTTP.Address, admin: c.HTTP.AdminAddress}
	c.Messaging.URL = ""
	for _, server := range o.servers {
		way, err := newProxy(ctx, server)
		if err != nil {
			return nil, err
		}
		p.nats = append(p.nats, way)
		if c.Messaging.URL != "" {
			c.Messaging.URL += ","
		}
		c.Messaging.URL += "nats://" + way.address
	}
	var err error
	if p.peers, err = newProxy(ctx, c.HTTP.PeerAddress); err != nil {
		return nil, err
	}
	c.Payments = slices.Clone(c.Payments)
	for i := range c.Payments {
		c.Payments[i].PublicURL, c.Payments[i].NotifyURL = p.url, p.url
	}
	raw, err := yaml.Marshal(c)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(o.dir, o.name+".yaml")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return nil, err
	}
	p.Process = &testproc.Process{Name: o.name, Log: o.log, Env: []string{
		roleVariable + "=" + string(o.role),
		nameVariable + "=" + o.name,
		configVariable + "=" + path,
		advertiseVariable + "=" + p.peers.address,
	}}
	return p, nil
}

// start the pod unless it runs, with its clock off by skew.
func (p *pod) start(skew time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.skew = skew
	return p.Start(skewVariable + "=" + skew.String())
}

// heal brings the pod back to what it should be: running, by the right clock, with all its ways open.
func (p *pod) heal() error {
	for _, way := range append([]*proxy{p.peers}, p.nats...) {
		way.set(fair)
	}
	p.Resume()
	p.mu.Lock()
	skewed := p.skew != 0
	p.mu.Unlock()
	if skewed {
		p.Kill()
	}
	return p.start(0)
}

func (p *pod) ready(ctx context.Context) error {
	return until(ctx, 60*time.Second, p.Name+" is ready", func(ctx context.Context) error {
		if !p.Alive() {
			// It ended by itself: what does not come back is found at its next readiness.
			return p.start(0)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		said, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", res.Status, said)
		}
		return nil
	})
}

// until repeats something until it has no error.
func until(ctx context.Context, patience time.Duration, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for {
		once, done := context.WithTimeout(ctx, 3*time.Second)
		err := try(once)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %s: %w", patience, what, err)
		}
	}
}
