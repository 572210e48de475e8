package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/jackc/pgx/v5"
	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/quote/v1/quotev1connect"
	"github.com/orderd-dev/orderd/test/testauth"
	"github.com/orderd-dev/orderd/test/testdb"
)

// bench is what a run works with.
type bench struct {
	options
	folder, token, jwks string
	nats                *natsserver.Server
	// ours and single are pods on databases of their own; they differ in how many orders a transaction takes.
	ours, single, noop *child
	oursURL, bulkURL   string
	book               *book
	// rounds of each row, by its id.
	rounds map[string][]float64
}

func measure(ctx context.Context, o options) error {
	began := time.Now()
	folder, err := os.MkdirTemp("", "orderd-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	b := &bench{options: o, folder: folder, book: newBook(o.skus), rounds: map[string][]float64{}}
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
	issuer, err := testauth.New(testauth.IssuerName, testauth.Audience, time.Now)
	if err != nil {
		return err
	}
	keys := httptest.NewServer(issuer)
	b.jwks = keys.URL
	b.token = issuer.Token("bench", "service")
	if b.nats, err = natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: b.folder, NoSigs: true}); err != nil {
		return err
	}
	b.nats.Start()
	fmt.Println("starting a database server that has every commit on disk")
	base, err := testdb.Durable()
	if err != nil {
		return err
	}
	var singleURL string
	for name, url := range map[string]*string{"bench_ours": &b.oursURL, "bench_single": &singleURL, "bench_bulk": &b.bulkURL} {
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
	for _, pod := range []*child{b.ours, b.single} {
		if err := b.book.stock(ctx, connect.NewClient(connecthttp.NewTransport(http.DefaultClient, pod.url), testauth.Bearer(b.token))); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) tearDown() {
	for _, c := range []*child{b.noop, b.ours, b.single} {
		c.stop()
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
	b.add("bulk_per_second", many)
	b.add("place_vs_noop", ours.perSecond/none.perSecond)
	b.add("place_vs_single", ours.perSecond/single.perSecond)
	b.add("place_vs_bulk", ours.perSecond/many)
	return nil
}

func (b *bench) place(ctx context.Context, name string, server *child) (result, error) {
	var taken *book
	if server == b.ours {
		taken = b.book
	}
	// What the last one left behind is not for the next to wait for.
	if err := b.checkpoint(ctx); err != nil {
		return result{}, err
	}
	return b.phaseOf(ctx, name, server, orderv1connect.OrderServicePlaceOrderProcedure, b.book.placeCall(name, taken))
}

// reads measures the queries, on the orders that were placed.
func (b *bench) reads(ctx context.Context) error {
	for _, q := range []struct {
		name, procedure string
		do              call
	}{
		{"get_order", orderv1connect.OrderServiceGetOrderProcedure, b.book.get},
		{"list_orders", orderv1connect.OrderServiceListOrdersProcedure, b.book.list},
		{"quote_order", quotev1connect.QuoteServiceQuoteOrderProcedure, b.book.quote},
	} {
		if _, err := b.phaseOf(ctx, q.name, b.ours, q.procedure, q.do); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) phaseOf(ctx context.Context, name string, server *child, procedure string, do call) (result, error) {
	r, err := load(ctx, b.options, server, b.token, procedure, do)
	if err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("  %-12s %8.0f/s  p50 %6.2f ms  p99 %6.2f ms  %4.0f µs CPU each\n", name, r.perSecond, millis(r.p50), millis(r.p99), float64(r.cpu.Microseconds()))
	b.add(name+"_per_second", r.perSecond)
	b.add(name+"_p50_ms", millis(r.p50))
	b.add(name+"_p99_ms", millis(r.p99))
	b.add(name+"_cpu_us", float64(r.cpu.Microseconds()))
	return r, nil
}

func (b *bench) add(id string, value float64) { b.rounds[id] = append(b.rounds[id], value) }

func (b *bench) checkpoint(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.oursURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "CHECKPOINT")
	return err
}

func (b *bench) path(name string) string { return filepath.Join(b.folder, name) }

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
