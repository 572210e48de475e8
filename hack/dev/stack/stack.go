// Package stack runs a whole shop in this process: a database and NATS, what a shop has outside
// (issuer of tokens, carrier, push gateway), a pod of each role, and sales from files.
package stack

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/hack/dev/home"
	"github.com/orderd-dev/orderd/hack/dev/promotions"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/version"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/serve"
	"github.com/orderd-dev/orderd/orderd/shop/schema"
	"github.com/orderd-dev/orderd/orderd/sim/localnats"
	"github.com/orderd-dev/orderd/orderd/sim/outside"
)

const (
	// logFile is what the pods say.
	logFile = "orderd.log"
	// readyWithin is how long the pods may take to be ready on a busy machine.
	readyWithin = 2 * time.Minute
	pollEvery   = 20 * time.Millisecond
	// connections of each pod to the database, and of what holds the sales.
	connections = 12
)

// Options of a shop.
type Options struct {
	Home *home.Home
	// Reset forgets what is in Home first.
	Reset bool
	// DatabaseURL of the shop's database; empty: one of its own.
	DatabaseURL string
	// Port is the first of ten that the shop has on the loopback address.
	Port int
	// Manifests are files and folders with PromotionEvents.
	Manifests []string
	// Origins are the sites whose pages may call the shop from a browser.
	Origins []string
	// Out is what a person reads.
	Out io.Writer
}

// Run serves until ctx ends, and then drains.
func Run(ctx context.Context, o Options) error {
	s := &stack{Options: o, ports: ports(o.Port), began: time.Now()}
	if err := s.ports.await(ctx, s.Out); err != nil {
		return err
	}
	if s.Reset {
		if err := s.Home.Reset(); err != nil {
			return fmt.Errorf("-reset: %w", err)
		}
	}
	logs, err := os.OpenFile(s.Home.Path(logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = logs.Close() }()
	s.log = slog.New(slog.NewJSONHandler(logs, nil))
	closeAll, err := s.backends(ctx)
	if err != nil {
		return err
	}
	defer closeAll()
	if err := s.configure(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.outside(ctx) })
	for n, role := range config.Roles() {
		group.Go(func() error { return s.pod(ctx, n, role) })
	}
	group.Go(func() error {
		if err := s.ready(ctx); err != nil {
			return err
		}
		if err := s.fill(ctx); err != nil {
			return fmt.Errorf("filling the catalog: %w", err)
		}
		if err := s.welcome(ctx); err != nil {
			return err
		}
		return s.hold(ctx)
	})
	return group.Wait()
}

// stack is what Run puts together.
type stack struct {
	Options
	ports  ports
	began  time.Time
	log    *slog.Logger
	config config.Config
	// dsn is the database's URL, and database what it is.
	dsn, database string
	pool          *pgxpool.Pool
	jetStream     jetstream.JetStream
}

func (s *stack) say(format string, args ...any) { _, _ = fmt.Fprintf(s.Out, format+"\n", args...) }

// backends starts the database and NATS at once, and brings the tables up to date.
func (s *stack) backends(ctx context.Context) (closeAll func(), err error) {
	var messaging *localnats.Server
	closeAll = func() {
		if s.pool != nil {
			s.pool.Close()
		}
		if s.jetStream != nil {
			s.jetStream.Conn().Close()
		}
		if messaging != nil {
			messaging.Stop()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	group := new(errgroup.Group)
	group.Go(func() (err error) {
		s.dsn, s.database, err = openDatabase(ctx, s.Home, s.DatabaseURL, s.ports.database())
		if err != nil {
			return err
		}
		if err := schema.Migrate(ctx, s.dsn, s.log); err != nil {
			return fmt.Errorf("making the tables in the database (%s): %w", s.database, err)
		}
		s.pool, err = database.Open(ctx, s.dsn, connections)
		return err
	})
	group.Go(func() (err error) {
		messaging, err = localnats.Start(localnats.Options{
			Name: "orderd-dev", Port: s.ports.nats(), Store: s.Home.Path("nats"),
		})
		if err != nil {
			return err
		}
		conn, err := nats.Connect(localnats.URL(s.ports.nats()), nats.MaxReconnects(-1))
		if err != nil {
			return fmt.Errorf("connecting to NATS: %w", err)
		}
		if s.jetStream, err = jetstream.New(conn); err != nil {
			return err
		}
		return sale.EnsureBuckets(ctx, s.jetStream, 1)
	})
	return closeAll, group.Wait()
}

// configure writes the secrets, which stay the same, and the pods' configuration.
func (s *stack) configure() error {
	c := config.Default()
	c.Cluster = cluster
	var errs []error
	secret := func(name string, form func([]byte) string) string {
		path, err := s.Home.Secret(name, form)
		errs = append(errs, err)
		return path
	}
	c.HTTP.DrainDelay = config.Duration(time.Millisecond)
	c.HTTP.Reflection, c.HTTP.AllowedOrigins = true, s.Origins
	c.Database = config.Database{URLFile: s.Home.Path("database"), MaxConnections: connections}
	errs = append(errs, s.Home.Write("database", s.dsn))
	c.Messaging.URL = localnats.URL(s.ports.nats())
	c.Orders.IDKeyFile = secret("order-ids", home.Hex)
	c.Flash.PeerURL = "http://" + s.ports.peers()
	shop := "http://" + s.ports.standard()
	c.Payments = []config.Payment{{
		Provider: "sandbox", SecretFile: secret("sandbox", home.Hex), PublicURL: shop, NotifyURL: shop,
	}}
	c.Carriers = []config.Carrier{{
		Name: carrier, URL: s.issuer() + "/carrier", SecretFile: secret("carrier", home.Hex),
	}}
	c.Push = config.Push{URL: s.issuer() + "/push", SecretFile: secret("push", home.Webhook)}
	secret("issuer", home.Hex)
	c.Auth.Issuer, c.Auth.Audience, c.Auth.JWKSURL = s.issuer(), audience, s.issuer()+"/.well-known/jwks.json"
	s.config = c
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("making a secret: %w", err)
		}
	}
	return nil
}

// issuer is the base URL of all that is outside, and the issuer's name.
func (s *stack) issuer() string { return "http://" + s.ports.outside() }

func (s *stack) outside(ctx context.Context) error {
	return outside.Run(ctx, outside.Options{
		Address: s.ports.outside(), URL: s.issuer(), ShopURL: "http://" + s.ports.standard(), Audience: audience,
		Carrier: carrier, Secrets: s.Home.Path("secrets"), Parcels: s.Home.Path("parcels.json"),
	})
}

// pod runs the nth role.
func (s *stack) pod(ctx context.Context, n int, role config.Role) error {
	c := s.config
	c.HTTP.Address, c.HTTP.AdminAddress, c.HTTP.PeerAddress = s.ports.standard(), s.ports.admin(n), s.ports.peers()
	if role == config.RoleFlash {
		c.HTTP.Address = s.ports.flash()
	}
	return serve.Run(ctx, serve.Options{
		Role: role, Config: c, Name: "dev-" + string(role), Advertise: c.HTTP.PeerAddress, Version: version.String(),
		Log: s.log,
	})
}

// ready waits until every pod is.
func (s *stack) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for n, role := range config.Roles() {
		for {
			why := ask(ctx, "http://"+s.ports.admin(n)+"/readyz")
			if why == nil {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("role %s is not ready: %w; %s says more", role, why, s.Home.Path(logFile))
			}
		}
	}
	return nil
}

func ask(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	why, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	return fmt.Errorf("%s: %s", res.Status, why)
}

// hold the sales of the manifests.
func (s *stack) hold(ctx context.Context) error {
	runner, err := promotions.New(promotions.Options{
		Paths: s.Manifests, State: s.Home.Path("promotions"), Pool: s.pool, JetStream: s.jetStream, Clock: time.Now,
		Say: func(line string) { s.say("%s %s", time.Now().Format(time.TimeOnly), line) },
	})
	if err != nil {
		return err
	}
	return runner.Run(ctx)
}
