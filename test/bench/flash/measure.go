package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/bench/internal/pod"
	"github.com/orderd-dev/orderd/test/bench/internal/proc"
	"github.com/orderd-dev/orderd/test/bench/internal/report"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// podMemory is as the operator starts a pod with 2 GiB: a phase at full speed takes more orders
// than a sale has goods.
var podMemory = []string{"GOGC=400", "GOMEMLIMIT=1843MiB"}

// bench is what a run works with.
type bench struct {
	options
	folder, token, jwks string
	// nats is the flash lane's server. The pods with another service in them have
	// one that does nothing.
	nats, idle *proc.Child
	js         jetstream.JetStream
	conn       *nats.Conn
	// pod of the flash lane.
	pod                          *proc.Child
	noop, bare, disk, redis, sql *proc.Child
	redisServer                  *proc.Child
	redisAddress                 string
	databaseURL                  string
	groups                       *groups
	standard                     *standard
	rounds                       report.Rounds
}

func measure(ctx context.Context, o options) error {
	began := time.Now()
	folder, err := os.MkdirTemp("", "orderd-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	b := &bench{options: o, folder: folder, rounds: report.Rounds{}}
	defer b.tearDown()
	if err := b.setUp(ctx); err != nil {
		return err
	}
	for round := range o.rounds {
		fmt.Printf("round %d of %d\n", round+1, o.rounds)
		if err := b.round(ctx); err != nil {
			return err
		}
	}
	if err := b.profiles(ctx); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{{partEngine, b.engine}, {partPods, b.morePods}} {
		if !b.has(part.name) {
			continue
		}
		fmt.Println(part.name)
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	fmt.Printf("measured in %s\n\n", time.Since(began).Round(time.Second))
	return b.report(os.Stdout)
}

// round measures everything that is a ratio once, one after the other.
func (b *bench) round(ctx context.Context) error {
	for _, part := range []struct {
		names []string
		run   func(context.Context) error
	}{
		{[]string{partUnary, partStream, partSoldOut}, b.lanes},
		{[]string{partOverload}, b.overload},
		{[]string{partStandard}, b.besideStandard},
	} {
		wanted := false
		for _, name := range part.names {
			wanted = wanted || b.has(name)
		}
		if !wanted {
			continue
		}
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.names[0], err)
		}
	}
	return nil
}

func (b *bench) setUp(ctx context.Context) error {
	tokens, err := issuer.New(issuer.Options{Name: pod.IssuerName, Audience: pod.Audience, Clock: time.Now})
	if err != nil {
		return err
	}
	keys := httptest.NewServer(tokens)
	b.jwks = keys.URL + issuer.JWKSPath
	// What buyers do, and what is on sale.
	claim := issuer.Claim{Subject: "bench", Roles: []string{"checkout", "catalog-sync"}}
	if b.token, err = tokens.Token(claim); err != nil {
		return err
	}
	b.groups = newGroups()
	if b.nats, err = b.startNATS(ctx, "nats"); err != nil {
		return err
	}
	if b.conn, err = nats.Connect(b.nats.URL, nats.MaxReconnects(-1)); err != nil {
		return err
	}
	if b.js, err = jetstream.New(b.conn); err != nil {
		return err
	}
	if err := sale.EnsureBuckets(ctx, b.js, replicas); err != nil {
		return err
	}
	if b.pod, err = b.startPod(ctx, spec{Kind: kindPod, Name: "flash", Profile: b.profileOf("flash")}, b.nats.URL,
		nil); err != nil {
		return err
	}
	if b.has(partUnary) || b.has(partStandard) {
		if err := b.startDatabase(ctx); err != nil {
			return err
		}
	}
	if b.has(partUnary) || b.has(partSoldOut) || b.has(partStream) {
		if err := b.startPeers(ctx); err != nil {
			return err
		}
	}
	if b.has(partStandard) {
		return b.startStandard(ctx)
	}
	return nil
}

func (b *bench) tearDown() {
	for _, c := range []*proc.Child{b.pod, b.noop, b.bare, b.disk, b.redis, b.sql, b.redisServer} {
		c.Stop()
	}
	b.standard.stop()
	if b.conn != nil {
		b.conn.Close()
	}
	b.nats.Stop()
	b.idle.Stop()
	b.groups.remove()
}

func (b *bench) startNATS(ctx context.Context, name string) (*proc.Child, error) {
	c, err := b.start(ctx, spec{Kind: kindNATS, Store: filepath.Join(b.folder, name), Profile: b.profileOf(name)}, nil)
	if err != nil {
		return nil, err
	}
	c.URL, err = c.Line()
	return c, err
}

// startDatabase starts a server that has every commit on disk before it answers, in the database's
// control group, where it has to be born, because its processes come and go.
func (b *bench) startDatabase(ctx context.Context) error {
	fmt.Println("starting a database server that has every commit on disk")
	leave, err := b.groups.enterDatabase()
	if err != nil {
		return err
	}
	base, err := testdb.Durable()
	if err := leave(); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	b.databaseURL, err = testdb.Create(ctx, base, "bench")
	return err
}

// checkpoint lets the database write what the last phase left behind, which is not for
// the next to wait for.
func (b *bench) checkpoint(ctx context.Context) error {
	if b.databaseURL == "" {
		return nil
	}
	conn, err := pgx.Connect(ctx, b.databaseURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "CHECKPOINT")
	return err
}

// startPeers starts everything that the flash lane is compared with.
func (b *bench) startPeers(ctx context.Context) error {
	var err error
	if b.idle, err = b.startNATS(ctx, "idle"); err != nil {
		return err
	}
	if b.bare, err = b.start(ctx, spec{Kind: kindBare}, nil); err != nil {
		return err
	}
	address, err := b.bare.Line()
	if err != nil {
		return err
	}
	b.bare.URL = "http://" + address
	if b.noop, err = b.startPod(ctx, spec{Kind: kindNoop, Name: kindNoop, Profile: b.profileOf(kindNoop)}, b.idle.URL,
		nil); err != nil {
		return err
	}
	if !b.has(partUnary) {
		return nil
	}
	if b.disk, err = b.startPod(ctx, spec{Kind: kindDisk, Name: kindDisk, Store: filepath.Join(b.folder, "disk.log")},
		b.idle.URL, nil); err != nil {
		return err
	}
	if err := b.startRedis(ctx); err != nil {
		return err
	}
	if b.redis, err = b.startPod(ctx, spec{Kind: kindRedis, Name: kindRedis, Backend: b.redisAddress}, b.idle.URL,
		nil); err != nil {
		return err
	}
	b.sql, err = b.startPod(ctx, spec{Kind: kindSQL, Name: kindSQL, Backend: b.databaseURL}, b.idle.URL, nil)
	return err
}

// startPod starts a pod of the flash role, and waits until it is ready.
func (b *bench) startPod(ctx context.Context, s spec, natsURL string, group *proc.Group) (*proc.Child, error) {
	s.Role = config.RoleFlash
	c, file, err := pod.Config(pod.Options{Folder: b.folder, Name: s.Name, NATSURL: natsURL, JWKSURL: b.jwks})
	if err != nil {
		return nil, err
	}
	s.Config, s.Advertise = file, c.HTTP.PeerAddress
	return b.startConfigured(ctx, s, c, group)
}

func (b *bench) startConfigured(ctx context.Context, s spec, c config.Config, group *proc.Group) (*proc.Child, error) {
	child, err := b.start(ctx, s, group)
	if err != nil {
		return nil, err
	}
	child.URL = "http://" + c.HTTP.Address
	if err := child.Ready(ctx, "http://"+c.HTTP.AdminAddress+"/readyz"); err != nil {
		child.Stop()
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return child, nil
}
