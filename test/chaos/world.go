package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/payment/v1/paymentv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

const (
	replicas = 3
	flashes  = 3
	workers  = 2
	currency = "EUR"
	// issuerName and audience of the token that buyers have.
	issuerName, audience = "https://issuer.test", "orderd-test"
	// maxLog is how many bytes of the processes' words are kept.
	maxLog = 32 << 20
)

// world is orderd's processes and everything around them.
type world struct {
	dir     string
	log     *logs
	cluster *testnats.Cluster
	db      *db
	conn    *nats.Conn
	js      jetstream.JetStream
	jwks    *httptest.Server

	flash, workers []*pod
	standard       *pod
	clients        map[*pod]clients
	end            context.CancelFunc
}

// clients call one pod as the shop's backend, and admission as its page's.
type clients struct {
	flash     flashv1connect.FlashServiceClient
	orders    orderv1connect.OrderServiceClient
	payments  paymentv1connect.PaymentServiceClient
	admission flashv1connect.FlashServiceClient
	stream    *streamclient.Stream
}

// place an order by a call of its own, or over the stream.
func (c clients) place(
	ctx context.Context, request *flashv1.PlaceFlashOrderRequest, stream bool,
) (*flashv1.PlaceFlashOrderResponse, error) {
	if !stream {
		return c.flash.PlaceFlashOrder(ctx, request)
	}
	type answer struct {
		response *flashv1.PlaceFlashOrderResponse
		err      error
	}
	answers := make(chan answer, 1)
	err := c.stream.Send(
		ctx,
		[]*flashv1.PlaceFlashOrderRequest{request},
		func(_ int, response *flashv1.PlaceFlashOrderResponse, err error) {
			answers <- answer{response, err}
		},
	)
	if err != nil {
		return nil, err
	}
	select {
	case a := <-answers:
		return a.response, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// logs are the last that the processes said.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps a line.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() > maxLog {
		l.text.Next(l.text.Len() / 2)
	}
	return l.text.Write(p)
}

func (l *logs) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

func (l *logs) save(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return os.WriteFile(path, l.text.Bytes(), 0o600)
}

// newWorld starts everything; what it has started is in the world also if there is an error.
func newWorld(ctx context.Context, dir string) (*world, error) {
	living, end := context.WithCancel(context.WithoutCancel(ctx))
	w := &world{dir: dir, log: &logs{}, clients: map[*pod]clients{}, end: end}
	var err error
	if w.db, err = startDatabase(living, w.log); err != nil {
		return w, err
	}
	if w.cluster, err = testnats.StartCluster(dir, replicas, w.log); err != nil {
		return w, err
	}
	// The harness is the operator; it goes on when servers are gone.
	if w.conn, err = nats.Connect(w.cluster.URL(), nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond)); err != nil {
		return w, err
	}
	if w.js, err = jetstream.New(w.conn, jetstream.WithDefaultTimeout(3*time.Second)); err != nil {
		return w, err
	}
	err = until(ctx, time.Minute, "the buckets are there", func(ctx context.Context) error {
		return sale.EnsureBuckets(ctx, w.js, replicas)
	})
	if err != nil {
		return w, err
	}
	return w, w.pods(living)
}

// pods starts all of orderd and waits until it is ready.
func (w *world) pods(ctx context.Context) error {
	tokens, err := issuer.New(issuer.Options{Name: issuerName, Audience: audience, Clock: time.Now})
	if err != nil {
		return err
	}
	w.jwks = httptest.NewServer(tokens)
	if err := w.makePods(ctx); err != nil {
		return err
	}
	checkout, err := lasting(tokens, "checkout")
	if err != nil {
		return err
	}
	admission, err := lasting(tokens, "admission")
	if err != nil {
		return err
	}
	w.connect(checkout, admission)
	for _, p := range w.all() {
		if err := p.start(0); err != nil {
			return err
		}
	}
	for _, p := range w.all() {
		if err := p.ready(ctx); err != nil {
			_ = w.log.save(filepath.Join(os.TempDir(), "orderd-chaos-start.log"))
			return err
		}
	}
	return nil
}

// lasting is a token of a service that pods take whose clocks are off.
func lasting(tokens *issuer.Issuer, role string) (string, error) {
	claims := tokens.Claims(issuer.Claim{Subject: "chaos", Roles: []string{role}})
	claims["iat"], claims["exp"] = time.Now().Add(-time.Minute).Unix(), time.Now().Add(24*time.Hour).Unix()
	return tokens.Sign(claims)
}

// config that every pod has.
func (w *world) config() (config.Config, error) {
	base := config.Default()
	base.Cluster = "shop/chaos"
	base.Messaging.Replicas = replicas
	base.Database.MaxConnections = 8
	base.HTTP.DrainDelay = config.Duration(10 * time.Millisecond)
	base.Auth.Issuer, base.Auth.Audience, base.Auth.JWKSURL = issuerName, audience, w.jwks.URL+issuer.JWKSPath
	base.Payments = []config.Payment{{Provider: "sandbox"}}
	for _, secret := range []struct {
		file        *string
		name, value string
	}{
		{&base.Database.URLFile, "url", w.db.url},
		{&base.Orders.IDKeyFile, "key", hex.EncodeToString([]byte("0123456789abcdef"))},
		{&base.Payments[0].SecretFile, "sandbox", "a key of the sandbox of this run"},
	} {
		*secret.file = filepath.Join(w.dir, secret.name)
		if err := os.WriteFile(*secret.file, []byte(secret.value), 0o600); err != nil {
			return base, err
		}
	}
	return base, nil
}

// makePods makes the pods, which do not run yet.
func (w *world) makePods(ctx context.Context) error {
	base, err := w.config()
	if err != nil {
		return err
	}
	var servers, peers []string
	for _, n := range w.cluster.Nodes {
		servers = append(servers, n.Address)
	}
	add := func(role config.Role, name string) (*pod, error) {
		return newPod(ctx, podOptions{dir: w.dir, name: name, role: role, base: base, servers: servers, log: w.log})
	}
	for i := range flashes {
		p, err := add(config.RoleFlash, fmt.Sprintf("flash-%d", i+1))
		if err != nil {
			return err
		}
		w.flash, peers = append(w.flash, p), append(peers, p.peers.address)
	}
	service, err := newProxy(ctx, peers...)
	if err != nil {
		return err
	}
	base.Flash.PeerURL = "http://" + service.address
	for i := range workers {
		p, err := add(config.RoleWorker, fmt.Sprintf("worker-%d", i+1))
		if err != nil {
			return err
		}
		w.workers = append(w.workers, p)
	}
	w.standard, err = add(config.RoleStandard, "standard")
	return err
}

// connect makes the clients of each pod, with the tokens of the shop's backend and of its page's.
func (w *world) connect(checkout, admission string) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128, IdleConnTimeout: 30 * time.Second}}
	// Streams go both ways, which takes HTTP/2.
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	both := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	for _, p := range w.all() {
		c := connect.NewClient(connecthttp.NewTransport(client, p.url), issuer.Bearer(checkout))
		s := connect.NewClient(connecthttp.NewTransport(both, p.url), issuer.Bearer(checkout))
		page := connect.NewClient(connecthttp.NewTransport(client, p.url), issuer.Bearer(admission))
		w.clients[p] = clients{
			flash: flashv1connect.NewFlashServiceClient(c), orders: orderv1connect.NewOrderServiceClient(c),
			payments: paymentv1connect.NewPaymentServiceClient(c), admission: flashv1connect.NewFlashServiceClient(page),
			stream: streamclient.NewStream(streamclient.StreamOptions{
				Open: flashv1connect.NewFlashServiceClient(s).PlaceFlashOrders, Timeout: attempt,
				Clock: time.Now, Jitter: func(d time.Duration) time.Duration { return d },
			}),
		}
	}
}

func (w *world) all() []*pod {
	all := append([]*pod{}, w.flash...)
	all = append(all, w.workers...)
	if w.standard != nil {
		all = append(all, w.standard)
	}
	return all
}

// heal ends every fault, and waits until everything is ready.
func (w *world) heal(ctx context.Context) error {
	var errs []error
	for _, n := range w.cluster.Nodes {
		n.Resume()
		errs = append(errs, n.Start())
	}
	errs = append(errs, w.db.heal(ctx))
	for _, p := range w.all() {
		errs = append(errs, p.heal())
	}
	return errors.Join(errs...)
}

func (w *world) ready(ctx context.Context) error {
	for _, p := range w.all() {
		if err := p.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop ends everything.
func (w *world) stop() {
	for _, p := range w.all() {
		if c, ok := w.clients[p]; ok {
			c.stream.Close()
		}
		p.Kill()
	}
	if w.conn != nil {
		w.conn.Close()
	}
	if w.cluster != nil {
		w.cluster.Stop()
	}
	if w.db != nil {
		w.db.stop()
	}
	if w.jwks != nil {
		w.jwks.Close()
	}
	w.end()
}

// keep what is known of a seed that failed.
func (w *world) keep(v *verdict, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var calls strings.Builder
	for _, c := range v.calls {
		fmt.Fprintln(&calls, c)
	}
	for name, text := range map[string]string{
		"calls.txt": calls.String(), "verdict.txt": v.String() + "\n" + v.details(),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return w.log.save(filepath.Join(folder, "processes.log"))
}
