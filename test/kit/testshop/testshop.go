// Package testshop is a shop for tests: it has a database, messaging and an issuer of tokens, and
// starts orderd's roles beside the test, in its process, as the operator starts them in pods:
// orderd/serve composes them from a configuration.
package testshop

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/serve"
	"github.com/orderd-dev/orderd/orderd/sim/carrier"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
	"github.com/orderd-dev/orderd/test/kit/testauth"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

const (
	// Patience is how long a pod may take to be ready on a busy machine, and to end.
	Patience = time.Minute
	// SandboxKey signs the sandbox's notifications, and CarrierKey the carrier's.
	SandboxKey = "a key that only the tests have"
	CarrierKey = "a key that carrier and shop share"
	// pollEvery is how often a pod is asked whether it is ready.
	pollEvery = 20 * time.Millisecond
	// nobody listens at it.
	nobody = "http://127.0.0.1:1"
)

// Shop is what pods need.
type Shop struct {
	// Config that every pod has; a test may change it before it starts any. Without Payments each pod
	// has a sandbox at its own address.
	Config config.Config
	// DatabaseURL of a migrated database that is this shop's.
	DatabaseURL string
	NATS        *testnats.Server
	Issuer      *testauth.Issuer

	tb     testing.TB
	log    io.Writer
	folder string
}

// New makes a shop whose parts live until the test ends. The pods' log is written to log.
func New(tb testing.TB, log io.Writer) *Shop {
	tb.Helper()
	s := &Shop{
		Config: config.Default(), DatabaseURL: testdb.NewMigrated(tb), NATS: testnats.Run(tb),
		tb: tb, log: log, folder: tb.TempDir(),
	}
	var jwksURL string
	s.Issuer, jwksURL = testauth.Start(tb)
	c := &s.Config
	c.Cluster = "shop/test"
	c.HTTP.DrainDelay = config.Duration(time.Millisecond)
	c.Database = config.Database{URLFile: s.Secret("url", s.DatabaseURL), MaxConnections: 12}
	c.Messaging.URL = s.NATS.URL()
	c.Orders.IDKeyFile = s.Secret("key", hex.EncodeToString([]byte("0123456789abcdef")))
	c.Flash.PeerURL = nobody
	c.Auth.Issuer, c.Auth.Audience, c.Auth.JWKSURL = testauth.IssuerName, testauth.Audience, jwksURL
	return s
}

// Secret writes a file that the configuration can name, and returns its path. The same name twice is
// the same file.
func (s *Shop) Secret(name, value string) string {
	s.tb.Helper()
	path := filepath.Join(s.folder, name)
	if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
		s.tb.Fatalf("writing a secret: %v", err)
	}
	return path
}

// Carrier starts a carrier that all pods know by the name, and returns it with its URL. It pushes to
// shopURL, unless empty. Under /control/ it is for people and other processes.
func (s *Shop) Carrier(name, shopURL string) (*carrier.Simulator, string) {
	s.tb.Helper()
	sim := carrier.New(carrier.Options{Name: name, Key: []byte(CarrierKey), ShopURL: shopURL, Clock: time.Now})
	mux := http.NewServeMux()
	mux.Handle("/", sim)
	mux.Handle("/control/", sim.Control())
	server := httptest.NewServer(mux)
	s.tb.Cleanup(server.Close)
	s.Config.Carriers = append(s.Config.Carriers, config.Carrier{
		Name: name, URL: server.URL, SecretFile: s.Secret("carrier-"+name, CarrierKey),
	})
	return sim, server.URL
}

// PushGateway starts a gateway that all pods push to, at /push, and returns it with its base URL.
// Other paths are those of mux, which may be nil.
func (s *Shop) PushGateway(mux *http.ServeMux) (*pushgateway.Gateway, string) {
	s.tb.Helper()
	var key [32]byte
	_, _ = rand.Read(key[:]) // It never fails: crypto/rand ends the program instead.
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key[:])
	gateway, err := pushgateway.New(time.Now, secret)
	if err != nil {
		s.tb.Fatalf("push gateway: %v", err)
	}
	if mux == nil {
		mux = http.NewServeMux()
	}
	mux.Handle("/push", gateway)
	server := httptest.NewServer(mux)
	s.tb.Cleanup(server.Close)
	s.Config.Push = config.Push{URL: server.URL + "/push", SecretFile: s.Secret("push", secret)}
	return gateway, server.URL
}

// Pod is a pod's configuration: the shop's, with loopback addresses that stay this pod's.
func (s *Shop) Pod() config.Config {
	s.tb.Helper()
	c := s.Config
	c.Carriers, c.Payments = slices.Clone(c.Carriers), slices.Clone(c.Payments)
	c.HTTP.Address, c.HTTP.AdminAddress = testport.Own(s.tb), testport.Own(s.tb)
	c.HTTP.PeerAddress = testport.Own(s.tb)
	if len(c.Payments) == 0 {
		c.Payments = []config.Payment{s.Sandbox("http://" + c.HTTP.Address)}
	}
	return c
}

// Sandbox is the configuration of the payment provider for tests, at a standard pod's base URL.
func (s *Shop) Sandbox(shopURL string) config.Payment {
	s.tb.Helper()
	return config.Payment{
		Provider: "sandbox", SecretFile: s.Secret("sandbox", SandboxKey), PublicURL: shopURL, NotifyURL: shopURL,
	}
}

// Pod is one that runs.
type Pod struct {
	// Name of the pod, its base URL and that of its health and metrics.
	Name, URL, AdminURL string
}

// PodAt is the pod with a configuration, wherever it runs.
func PodAt(name string, c config.Config) *Pod {
	return &Pod{Name: name, URL: "http://" + c.HTTP.Address, AdminURL: "http://" + c.HTTP.AdminAddress}
}

// Start runs a pod until the test ends, and waits until it answers: it need not be ready.
func (s *Shop) Start(role config.Role, name string, c config.Config) *Pod {
	s.tb.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		err = serve.Run(ctx, serve.Options{
			Role: role, Config: c, Name: name, Advertise: c.HTTP.PeerAddress, Version: "test",
			Log: slog.New(slog.NewTextHandler(s.log, nil)).With("pod", name),
		})
	}()
	s.tb.Cleanup(func() {
		stop()
		select {
		case <-ended:
		case <-time.After(Patience):
			s.tb.Errorf("%s does not end within %v", name, Patience)
			return
		}
		if err != nil {
			s.tb.Errorf("%s ended with: %v", name, err)
		}
	})
	p := PodAt(name, c)
	s.until(p, ended, func(_ int, err error) bool { return err == nil })
	return p
}

// Ready runs a pod until the test ends, and waits until it is ready.
func (s *Shop) Ready(role config.Role, name string, c config.Config) *Pod {
	s.tb.Helper()
	p := s.Start(role, name, c)
	s.until(p, nil, func(status int, _ error) bool { return status == http.StatusOK })
	return p
}

// until waits for what the pod answers, unless it ends before.
func (s *Shop) until(p *Pod, ended <-chan struct{}, wanted func(int, error) bool) {
	s.tb.Helper()
	deadline := time.After(Patience)
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		status, err := p.Health()
		if wanted(status, err) {
			return
		}
		select {
		case <-poll.C:
		case <-ended:
			s.tb.Fatalf("%s ended by itself", p.Name)
		case <-deadline:
			s.tb.Fatalf("%s is not ready after %v: %d, %v", p.Name, Patience, status, err)
		}
	}
}

// Health is the status of the pod's answer to whether it is ready.
func (p *Pod) Health() (int, error) {
	res, err := http.Get(p.AdminURL + "/readyz")
	if err != nil {
		return 0, fmt.Errorf("asking %s whether it is ready: %w", p.Name, err)
	}
	return res.StatusCode, res.Body.Close()
}
