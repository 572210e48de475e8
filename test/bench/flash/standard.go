package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/bench/internal/load"
	"github.com/orderd-dev/orderd/test/bench/internal/pod"
	"github.com/orderd-dev/orderd/test/bench/internal/proc"
	"github.com/orderd-dev/orderd/test/bench/internal/shop"
)

const (
	// standardRate is how many orders a second are placed, and queried as well: a busy
	// day's, ten times over.
	standardRate        = 100
	standardConnections = 64
	standardSKUs        = 1000
)

// standard is the standard lane beside the sale.
type standard struct {
	pod  *proc.Child
	book *shop.Book
}

func (s *standard) stop() {
	if s != nil {
		s.pod.Stop()
	}
}

// startStandard starts a pod of the standard role, on the same NATS as the flash lane,
// and puts goods on sale.
func (b *bench) startStandard(ctx context.Context) error {
	c, file, err := pod.Config(
		pod.Options{Folder: b.folder, Name: "standard", DatabaseURL: b.databaseURL, NATSURL: b.nats.URL, JWKSURL: b.jwks},
	)
	if err != nil {
		return err
	}
	b.standard = &standard{book: shop.New(standardSKUs)}
	b.standard.pod, err = b.startConfigured(ctx,
		spec{Kind: kindPod, Role: config.RoleStandard, Config: file, Name: "standard"}, c, b.groups.standard)
	if err != nil {
		return err
	}
	client := connect.NewClient(connecthttp.NewTransport(http.DefaultClient, b.standard.pod.URL), issuer.Bearer(b.token))
	if err := b.standard.book.Stock(ctx, client); err != nil {
		return err
	}
	// Something to be queried.
	_, err = b.ordinary(ctx, "standard_first")
	return err
}

// besideStandard measures the standard lane alone, beside loops that do nothing, and beside
// a sale at full speed.
func (b *bench) besideStandard(ctx context.Context) error {
	if err := b.checkpoint(ctx); err != nil {
		return err
	}
	leave, err := b.groups.enterSale(b.pod, b.nats)
	if err != nil {
		return err
	}
	return errors.Join(b.sellBeside(ctx), leave())
}

func (b *bench) sellBeside(ctx context.Context) error {
	alone, err := b.ordinary(ctx, "standard_alone")
	if err != nil {
		return err
	}
	if err := b.idleBeside(ctx, alone); err != nil {
		return err
	}
	s, err := b.openSale(ctx, b.partitions, plenty, b.pod)
	if err != nil {
		return err
	}
	sale := b.buyersAt(s, b.pod)
	buyers, err := b.start(ctx, spec{Kind: kindBuyers, Buyers: sale}, b.groups.buyers)
	if err != nil {
		return err
	}
	beside, err := b.ordinary(ctx, "standard_beside_sale")
	if err != nil {
		buyers.Stop()
		return err
	}
	var sold streamResult
	if err := childResult(buyers, &sold); err != nil {
		return err
	}
	fmt.Printf("  beside %.0f flash orders/s\n", sold.Accepted)
	b.rounds.Add("standard_p99_ratio", beside.P99.Seconds()/alone.P99.Seconds())
	b.rounds.Add("sale_beside_standard_per_second", sold.Accepted)
	return s.end(ctx)
}

// idleBeside measures what busy processors alone do to the standard lane on this machine.
func (b *bench) idleBeside(ctx context.Context, alone load.Result) error {
	idle, err := b.start(ctx, spec{Kind: kindIdle}, b.groups.buyers)
	if err != nil {
		return err
	}
	defer idle.Stop()
	if _, err := idle.Line(); err != nil {
		return err
	}
	beside, err := b.ordinary(ctx, "standard_beside_loops")
	if err == nil {
		b.rounds.Add("standard_beside_loops_p99_ratio", beside.P99.Seconds()/alone.P99.Seconds())
	}
	return err
}

// ordinary calls PlaceOrder and GetOrder at a fixed rate each, and returns the times of both
// together.
func (b *bench) ordinary(ctx context.Context, name string) (load.Result, error) {
	var none load.Result
	o := load.Options{
		Connections: standardConnections,
		Warm:        b.warm,
		Phase:       b.phase,
		Rate:        standardRate,
		URLs:        []string{b.standard.pod.URL},
		Token:       b.token,
		Procedure:   orderv1connect.OrderServicePlaceOrderProcedure,
		Servers:     []*proc.Child{b.standard.pod},
	}
	queries := make(chan error, 1)
	var got load.Result
	asked := !b.standard.book.Empty()
	go func() {
		if !asked {
			queries <- nil
			return
		}
		q := o
		q.Procedure = orderv1connect.OrderServiceGetOrderProcedure
		var err error
		got, err = load.Run(ctx, q, b.standard.book.Get)
		queries <- err
	}()
	placed, err := load.Run(ctx, o, b.standard.book.PlaceCall(name, b.standard.book))
	if queryErr := <-queries; err == nil {
		err = queryErr
	}
	if err != nil {
		return none, fmt.Errorf("%s: %w", name, err)
	}
	if !asked {
		return placed, nil
	}
	both := placed.With(got)
	fmt.Printf("  %-21s %8.0f answered/s  p50 %7.2f ms  p99 %7.2f ms (PlaceOrder %.2f, GetOrder %.2f)\n", name,
		both.Accepted, millis(both.P50), millis(both.P99), millis(placed.P99), millis(got.P99))
	b.rounds.Add(name+"_p99_ms", millis(both.P99))
	return both, nil
}
