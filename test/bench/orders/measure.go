package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/jackc/pgx/v5"
	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/quote/v1/quotev1connect"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/bench/internal/load"
	"github.com/orderd-dev/orderd/test/bench/internal/pod"
	"github.com/orderd-dev/orderd/test/bench/internal/proc"
	"github.com/orderd-dev/orderd/test/bench/internal/report"
	"github.com/orderd-dev/orderd/test/bench/internal/shop"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// bench is what a run works with.
type bench struct {
	options
	folder, token, jwks string
	nats                *natsserver.Server
	// ours and single are pods on databases of their own; they differ in how many orders
	// a transaction takes.
	ours, single, noop *proc.Child
	oursURL, bulkURL   string
	book               *shop.Book
	// rounds of each row, by its id.
	rounds report.Rounds
}

func measure(ctx context.Context, o options) error {
	began := time.Now()
	folder, err := os.MkdirTemp("", "orderd-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	b := &bench{options: o, folder: folder, book: shop.New(o.skus), rounds: report.Rounds{}}
	if err := b.setUp(ctx); err != nil {
		return err
	}
	defer b.tearDown()
	for round := range o.rounds {
		fmt.Printf("round %d of %d\n", round+1, o.rounds)
		if err := b.round(ctx); err != nil {
			return err
		}
	}
	if err := b.reads(ctx); err != nil {
		return err
	}
	fmt.Printf("measured in %s\n\n", time.Since(began).Round(time.Second))
	return b.report(os.Stdout)
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
	if b.nats, err = natsserver.NewServer(&natsserver.Options{
		Host:      "127.0.0.1",
		Port:      natsserver.RANDOM_PORT,
		JetStream: true,
		StoreDir:  b.folder,
		NoSigs:    true,
	}); err != nil {
		return err
	}
	b.nats.Start()
	fmt.Println("starting a database server that has every commit on disk")
	base, err := testdb.Durable()
	if err != nil {
		return err
	}
	var singleURL string
	for name, url := range map[string]*string{
		"bench_ours": &b.oursURL, "bench_single": &singleURL, "bench_bulk": &b.bulkURL,
	} {
		if *url, err = testdb.Create(ctx, base, name); err != nil {
			return err
		}
	}
	if b.noop, err = startNoop(ctx); err != nil {
		return err
	}
	if b.ours, err = b.startPod(ctx, "ours", b.oursURL, 0); err != nil {
		return err
	}
	if b.single, err = b.startPod(ctx, "single", singleURL, 1); err != nil {
		return err
	}
	fmt.Printf("putting %d SKUs on sale\n", b.skus)
	for _, pod := range []*proc.Child{b.ours, b.single} {
		if err := b.book.Stock(ctx,
			connect.NewClient(connecthttp.NewTransport(http.DefaultClient, pod.URL), issuer.Bearer(b.token))); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) tearDown() {
	for _, c := range []*proc.Child{b.noop, b.ours, b.single} {
		c.Stop()
	}
	b.nats.Shutdown()
}

// round measures every alternative once, one after the other.
func (b *bench) round(ctx context.Context) error {
	none, err := b.place(ctx, "noop", b.noop)
	if err != nil {
		return err
	}
	single, err := b.place(ctx, "single", b.single)
	if err != nil {
		return err
	}
	ours, err := b.place(ctx, "place", b.ours)
	if err != nil {
		return err
	}
	chunks, err := readChunks(ctx, b.oursURL)
	if err != nil {
		return err
	}
	if err := truncate(ctx, b.bulkURL); err != nil {
		return err
	}
	many, err := bulk(ctx, b.bulkURL, chunks, b.phase)
	if err != nil {
		return err
	}
	fmt.Printf("  %-8s %8.0f orders/s\n", "bulk", many)
	b.rounds.Add("bulk_per_second", many)
	b.rounds.Add("place_vs_noop", ours.Accepted/none.Accepted)
	b.rounds.Add("place_vs_single", ours.Accepted/single.Accepted)
	b.rounds.Add("place_vs_bulk", ours.Accepted/many)
	return nil
}

func (b *bench) place(ctx context.Context, name string, server *proc.Child) (load.Result, error) {
	var taken *shop.Book
	if server == b.ours {
		taken = b.book
	}
	// What the last one left behind is not for the next to wait for.
	if err := b.checkpoint(ctx); err != nil {
		return load.Result{}, err
	}
	return b.phaseOf(ctx, name, server, orderv1connect.OrderServicePlaceOrderProcedure, b.book.PlaceCall(name, taken))
}

// reads measures the queries, on the orders that were placed.
func (b *bench) reads(ctx context.Context) error {
	for _, q := range []struct {
		name, procedure string
		do              load.Call
	}{
		{"get_order", orderv1connect.OrderServiceGetOrderProcedure, b.book.Get},
		{"list_orders", orderv1connect.OrderServiceListOrdersProcedure, b.book.List},
		{"quote_order", quotev1connect.QuoteServiceQuoteOrderProcedure, b.book.Quote},
	} {
		if _, err := b.phaseOf(ctx, q.name, b.ours, q.procedure, q.do); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) phaseOf(
	ctx context.Context, name string, server *proc.Child, procedure string, do load.Call,
) (load.Result, error) {
	r, err := load.Run(ctx, load.Options{
		Connections: b.connections, Warm: b.warm, Phase: b.phase,
		URLs: []string{server.URL}, Token: b.token, Procedure: procedure, Servers: []*proc.Child{server},
	}, do)
	if err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("  %-12s %8.0f/s  p50 %6.2f ms  p99 %6.2f ms  %4.0f µs CPU each\n", name, r.Accepted, millis(r.P50),
		millis(r.P99), float64(r.CPU.Microseconds()))
	b.rounds.Add(name+"_per_second", r.Accepted)
	b.rounds.Add(name+"_p50_ms", millis(r.P50))
	b.rounds.Add(name+"_p99_ms", millis(r.P99))
	b.rounds.Add(name+"_cpu_us", float64(r.CPU.Microseconds()))
	return r, nil
}

func (b *bench) checkpoint(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.oursURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "CHECKPOINT")
	return err
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
