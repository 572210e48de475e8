package main

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/orderd-dev/orderd/test/bench/internal/load"
	"github.com/orderd-dev/orderd/test/bench/internal/proc"
)

// lanes measures unary calls, the stream and sold-out answers, and what they are compared with, so
// close to each other that whatever else the machine does is the same for all.
func (b *bench) lanes(ctx context.Context) error {
	if err := b.checkpoint(ctx); err != nil {
		return err
	}
	none, err := b.unaryOf(ctx, "noop", b.noop)
	if err != nil {
		return err
	}
	var ours load.Result
	if b.has(partUnary) || b.has(partStream) {
		if ours, err = b.unary(ctx); err != nil {
			return err
		}
		b.rounds.Add("unary_vs_noop", ours.Accepted/none.Accepted)
	}
	if b.has(partStream) {
		many, err := b.stream(ctx)
		if err != nil {
			return err
		}
		b.rounds.Add("stream_vs_unary", many.Accepted/ours.Accepted)
	}
	if b.has(partSoldOut) {
		out, err := b.soldOut(ctx)
		if err != nil {
			return err
		}
		b.rounds.Add("sold_out_vs_noop", out.Refused/none.Accepted)
	}
	if !b.has(partUnary) {
		return nil
	}
	return b.peers(ctx, ours, none)
}

// peers measures what unary calls are compared with.
func (b *bench) peers(ctx context.Context, ours, none load.Result) error {
	bare, err := b.unaryOf(ctx, "bare", b.bare)
	if err != nil {
		return err
	}
	b.rounds.Add("unary_vs_bare", ours.Accepted/bare.Accepted)
	waiting, err := b.unaryOf(ctx, "disk", b.disk)
	if err != nil {
		return err
	}
	b.rounds.Add("disk_vs_noop", waiting.Accepted/none.Accepted)
	b.rounds.Add("unary_vs_disk", ours.Accepted/waiting.Accepted)
	if err := b.stockRedis(ctx); err != nil {
		return err
	}
	recipe, err := b.unaryOf(ctx, "redis", b.redis, b.redisServer)
	if err != nil {
		return err
	}
	b.rounds.Add("unary_vs_redis", ours.Accepted/recipe.Accepted)
	table, err := b.unaryOf(ctx, "sql", b.sql)
	if err != nil {
		return err
	}
	b.rounds.Add("unary_vs_sql", ours.Accepted/table.Accepted)
	return nil
}

// unary measures accepted orders by PlaceFlashOrder.
func (b *bench) unary(ctx context.Context) (load.Result, error) {
	s, err := b.openSale(ctx, b.partitions, plenty, b.pod)
	if err != nil {
		return load.Result{}, err
	}
	r, err := b.phaseOf(ctx, "unary", load.Options{URLs: []string{b.pod.URL}, Servers: []*proc.Child{b.pod, b.nats}},
		buyers(s.GetName(), overloaded))
	if err != nil {
		return r, err
	}
	return r, s.end(ctx)
}

// soldOut measures refusals of an item that is sold out.
func (b *bench) soldOut(ctx context.Context) (load.Result, error) {
	s, err := b.openSale(ctx, b.partitions, 0, b.pod)
	if err != nil {
		return load.Result{}, err
	}
	r, err := b.phaseOf(ctx, "sold_out", load.Options{URLs: []string{b.pod.URL}, Servers: []*proc.Child{b.pod, b.nats}},
		buyers(s.GetName(), refused(soldOutText)))
	if err != nil {
		return r, err
	}
	if r.Accepted > 0 {
		return r, fmt.Errorf("%.0f orders a second were accepted of an item that there is none of", r.Accepted)
	}
	return r, s.end(ctx)
}

// redisPromotion is the one that Redis sells in.
const redisPromotion = "bench"

// stockRedis empties Redis and puts the SKU on sale.
func (b *bench) stockRedis(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: b.redisAddress})
	defer func() { _ = client.Close() }()
	if err := client.FlushAll(ctx).Err(); err != nil {
		return err
	}
	return client.Set(ctx, redisKeys(redisPromotion, hotSKU)[0], plenty, 0).Err()
}

// unaryOf measures a pod with another service in it.
func (b *bench) unaryOf(ctx context.Context, name string, server ...*proc.Child) (load.Result, error) {
	return b.phaseOf(ctx, name, load.Options{URLs: []string{server[0].URL}, Servers: server},
		buyers(redisPromotion, overloaded))
}

// phaseOf lets callers call and adds the rows of a name.
func (b *bench) phaseOf(ctx context.Context, name string, o load.Options, do load.Call) (load.Result, error) {
	if o.Connections == 0 {
		o.Connections = b.connections
	}
	o.Warm, o.Phase, o.Token, o.Procedure = b.warm, b.phase, b.token, procedure
	r, err := load.Run(ctx, o, do)
	if err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("  %-20s %8.0f accepted/s %8.0f refused/s  p50 %7.2f ms  p99 %7.2f ms  %5.1f µs CPU each\n", name,
		r.Accepted, r.Refused, millis(r.P50), millis(r.P99), micros(r.CPU))
	rate := r.Accepted
	if r.Accepted == 0 {
		rate = r.Refused
	} else {
		b.rounds.Add(name+"_p99_ms", millis(r.P99))
	}
	b.rounds.Add(name+"_per_second", rate)
	b.rounds.Add(name+"_cpu_us", micros(r.CPU))
	return r, nil
}
